import type {
  ChannelBatch,
  ChannelOutcome,
  EventBus,
  Offer,
  OfferOutcome,
  PublishResult,
} from '../../src/bus/publish.ts'
import { judgeDelta } from '../../src/domain/book/join.ts'

/** What entered a stream, as short as a test can compare it. */
export interface NaiveEntry {
  readonly type: string
  readonly id: string
  readonly data: string
}

interface Stream {
  entries: NaiveEntry[]
  last: number | null
  newest: Map<string, number>
  open: { from: number; to: number }[]
  joined: boolean
  gap: { from: number; to: number } | null
}

/**
 * The append script's rules as plainly as they can be said, without epochs and resets, for one writer or several in turn.
 * `fail` makes calls fail before or after they took effect, as a lost connection does.
 */
export class NaiveBus implements EventBus {
  readonly streams = new Map<string, Stream>()
  readonly calls: (readonly ChannelBatch[])[] = []
  fail: (() => 'before' | 'after' | null) | null = null
  gate: Promise<void> | null = null

  async publish(batches: readonly ChannelBatch[]): Promise<PublishResult> {
    this.calls.push(batches)
    if (this.gate !== null) await this.gate
    const failure = this.fail?.() ?? null
    if (failure === 'before') throw new Error('the connection was lost before the call')
    const channels = batches.map((batch) => this.#apply(batch))
    if (failure === 'after') throw new Error('the connection was lost after the call')
    return { greatestEntryMs: 1, channels }
  }

  of(instrument: string, channel: string): Stream {
    const name = `${instrument}:${channel}`
    let stream = this.streams.get(name)
    if (stream === undefined) {
      stream = { entries: [], last: null, newest: new Map(), open: [], joined: false, gap: null }
      this.streams.set(name, stream)
    }
    return stream
  }

  ids(instrument: string, channel: string): string[] {
    return this.of(instrument, channel).entries.map((entry) => `${entry.type} ${entry.id}`)
  }

  #apply(batch: ChannelBatch): ChannelOutcome | null {
    const stream = this.of(batch.instrument, batch.channel)
    const outcomes: OfferOutcome[] = []
    batch.offers.forEach((offer, index) => {
      const verdict = this.#offer(stream, offer)
      if (verdict === null) return
      const [word, reason] = verdict.split(':') as [OfferOutcome['verdict'], OfferOutcome['reason'] | undefined]
      outcomes.push({ index, verdict: word, reason: reason ?? null, error: null })
    })
    if (outcomes.length === 0 && batch.epoch === '1') return null
    const have = stream.last === null ? '' : `${stream.last}`
    return { epoch: '1', epochChanged: batch.epoch !== '1', have, joined: stream.joined, outcomes }
  }

  #offer(stream: Stream, offer: Offer): string | null {
    switch (offer.kind) {
      case 'TRADE':
        return this.#trade(stream, offer)
      case 'GIVEUP':
        stream.open = stream.open.flatMap((range) =>
          [
            { from: range.from, to: Math.min(range.to, Number(offer.id) - 1) },
            { from: Math.max(range.from, Number(offer.first) + 1), to: range.to },
          ].filter((part) => part.from <= part.to),
        )
        return null
      case 'DELTA':
        return this.#delta(stream, offer)
      case 'SNAPSHOT':
        return this.#snapshot(stream, offer)
      default:
        return this.#newest(stream, offer)
    }
  }

  #trade(stream: Stream, offer: Offer): string | null {
    const id = Number(offer.id)
    const last = stream.last
    if (last === null || id === last + 1) {
      stream.last = id
      this.#enter(stream, 'TRADE', offer)
      return null
    }
    if (id > last) {
      if (offer.declare === '') return 'gap'
      this.#gap(stream, last + 1, id - 1, offer)
      stream.open.push({ from: last + 1, to: id - 1 })
      stream.last = id
      this.#enter(stream, 'TRADE', offer)
      return 'gapTold'
    }
    const at = stream.open.findIndex((range) => range.from <= id && id <= range.to)
    const range = stream.open[at]
    if (range === undefined) return 'duplicate'
    const parts = [
      { from: range.from, to: id - 1 },
      { from: id + 1, to: range.to },
    ]
    stream.open.splice(at, 1, ...parts.filter((part) => part.from <= part.to))
    this.#enter(stream, 'TRADE', offer)
    return null
  }

  #newest(stream: Stream, offer: Offer): string | null {
    const [part, position] =
      offer.kind === 'KLINE'
        ? [offer.id.split('@')[0] as string, Number(offer.id.split('@')[1])]
        : ['', Number(offer.id)]
    const last = stream.newest.get(part)
    const newer = last === undefined || (offer.kind === 'KLINE' ? position >= last : position > last)
    if (!newer) return 'duplicate'
    stream.newest.set(part, position)
    const told = offer.declare !== '' && last !== undefined
    if (told) stream.entries.push({ type: `${offer.kind}.GAP`, id: offer.declare, data: '' })
    this.#enter(stream, offer.kind, offer)
    return told ? 'gapTold' : null
  }

  #delta(stream: Stream, offer: Offer): string | null {
    if (stream.last === null) return 'refused:unjoined'
    const range = { low: Number(offer.first), high: Number(offer.id) }
    const judged = judgeDelta(stream.last, range)
    if (judged === 'stale') return 'duplicate'
    if (judged === 'apply') {
      stream.last = range.high
      stream.joined = true
      stream.gap = null
      this.#enter(stream, 'DELTA', offer)
      return null
    }
    if (!stream.joined) return 'refused:unjoined'
    if (offer.declare === '') return 'gap'
    stream.gap = { from: stream.last + 1, to: range.low - 1 }
    stream.joined = false
    this.#gap(stream, stream.gap.from, stream.gap.to, offer)
    return 'gapToldRefused'
  }

  #snapshot(stream: Stream, offer: Offer): string | null {
    const last = Number(offer.id)
    if (stream.joined && stream.last !== null) {
      if (last <= stream.last) return 'duplicate'
      if (offer.declare === '') return 'early'
      this.#gap(stream, stream.last + 1, last, offer)
    } else if (stream.gap !== null && last < stream.gap.to) {
      return 'refused:snapshot-too-old'
    }
    const told = stream.joined
    stream.last = last
    stream.joined = true
    stream.gap = null
    this.#enter(stream, 'SNAPSHOT', offer)
    return told ? 'gapTold' : null
  }

  #gap(stream: Stream, from: number, to: number, offer: Offer): void {
    stream.entries.push({ type: 'GAP', id: `${from}-${to} ${offer.declare}`, data: '' })
  }

  #enter(stream: Stream, type: string, offer: Offer): void {
    stream.entries.push({ type, id: offer.id, data: offer.data })
  }
}
