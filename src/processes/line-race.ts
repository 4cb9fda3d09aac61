import type { ChannelBatch, PublishResult, Verdict } from '../bus/publish.ts'
import { Channel } from '../domain/event.ts'
import { beforeScrape, metrics } from '../telemetry/metrics.ts'

/** Of the events that another line won, one in this time is looked up. */
const SAMPLE_MS = 1_000

export interface LostEvent {
  readonly batch: ChannelBatch
  /** Venue id; both copies have it. */
  readonly id: string
  readonly receivedTimeUs: number
}

export interface LineRaceParts {
  readonly nowMs: () => number
  /** `receivedTime` of the copy in the stream, us; null where it is not found. */
  winnerReceivedUs(event: LostEvent): Promise<number | null>
}

/** Of bars and statistics the newest alone enters, under one id for many: nobody can say which copy was first. */
const RACED: ReadonlySet<Channel> = new Set([Channel.Trade, Channel.Quote, Channel.OrderBook])

/**
 * How this process's lines do against those of others that feed the same streams: who came first, and by how much the
 * others are ahead where they win. Counts in plain numbers and carries them over when Prometheus asks.
 *
 * A duplicate was won by another process only where this one had not offered the event before: what the ring offers again after
 * an outage, and what two of its own connections bring while one is renewed, lies at or below what it offered last. So one
 * number a stream is kept, and looked at once a call and where something is a duplicate.
 */
export class LineRace {
  readonly #parts: LineRaceParts
  readonly #counts = new Map<string, { market: string; channel: Channel; won: number; lost: number }>()
  /** By channel and instrument: the id offered last. */
  readonly #reached = new Map<Channel, Map<string, number>>()
  #sampledMs = 0
  readonly #carry = (): void => this.#carryOver()

  constructor(parts: LineRaceParts) {
    this.#parts = parts
    beforeScrape.add(this.#carry)
  }

  /** After every call to the bus that succeeded. */
  published(batches: readonly ChannelBatch[], result: PublishResult): void {
    for (let index = 0; index < batches.length; index++) {
      const batch = batches[index] as ChannelBatch
      if (!RACED.has(batch.channel) || batch.offers.length === 0) continue
      const counts = this.#countsOf(batch)
      const reached = this.#reachedOf(batch.channel)
      const before = reached.get(batch.instrument) ?? Number.NEGATIVE_INFINITY
      const outcomes = result.channels[index]?.outcomes ?? []
      let told = 0
      let latest = -1
      let latestVerdict: Verdict | undefined
      for (let at = 0; at < batch.offers.length; at++) {
        const verdict = outcomes[told]?.index === at ? outcomes[told++]?.verdict : undefined
        const offer = batch.offers[at] as ChannelBatch['offers'][number]
        // Only what came by a line runs a race; answers of REST are late by nature.
        if (!offer.source.includes('.ws.')) continue
        latest = at
        latestVerdict = verdict
        if (verdict === undefined || verdict === 'gapTold') counts.won++
        else if (verdict === 'duplicate') {
          const id = Number(offer.id)
          if (id <= before || id <= Number(batch.offers[at - 1]?.id)) continue
          counts.lost++
          // Of quotes the newest alone enters, and of books the copies are cut differently.
          if (batch.channel !== Channel.Trade) continue
          this.#sample({ batch, id: offer.id, receivedTimeUs: offer.receivedTimeUs })
        }
      }
      if (latest === -1) continue
      // Where the last one entered it is the newest, whatever the ids before: the venue may have begun anew.
      const last = Number(batch.offers[latest]?.id)
      if (latestVerdict === undefined || last > before) reached.set(batch.instrument, last)
    }
  }

  close(): void {
    this.#carryOver()
    beforeScrape.delete(this.#carry)
  }

  #reachedOf(channel: Channel): Map<string, number> {
    let reached = this.#reached.get(channel)
    if (reached === undefined) {
      reached = new Map()
      this.#reached.set(channel, reached)
    }
    return reached
  }

  #countsOf({ market, channel }: ChannelBatch) {
    let counts = this.#counts.get(channel)
    if (counts === undefined) {
      counts = { market, channel, won: 0, lost: 0 }
      this.#counts.set(channel, counts)
    }
    return counts
  }

  #sample(event: LostEvent): void {
    const nowMs = this.#parts.nowMs()
    if (nowMs - this.#sampledMs < SAMPLE_MS) return
    this.#sampledMs = nowMs
    this.#parts.winnerReceivedUs(event).then(
      (winnerUs) => {
        if (winnerUs === null || winnerUs >= event.receivedTimeUs) return
        metrics.lineBehindSeconds.observe({ market: event.batch.market }, (event.receivedTimeUs - winnerUs) / 1e6)
      },
      // A sample less; the connection reports its own trouble.
      () => {},
    )
  }

  #carryOver(): void {
    for (const counts of this.#counts.values()) {
      const { market, channel, won, lost } = counts
      if (won > 0) metrics.lineOffers.inc({ market, channel, outcome: 'won' }, won)
      if (lost > 0) metrics.lineOffers.inc({ market, channel, outcome: 'lost' }, lost)
      counts.won = 0
      counts.lost = 0
    }
  }
}
