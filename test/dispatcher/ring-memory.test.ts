import { expect } from 'chai'
import fc from 'fast-check'
import type { ChannelBatch, OfferOutcome, Verdict } from '../../src/bus/publish.ts'
import { acknowledgedOffer, heldBytesOf, type LineOffer } from '../../src/dispatcher/line-offer.ts'
import { type LineRing, Ring } from '../../src/dispatcher/ring.ts'
import { asInstrument } from '../../src/domain/instrument.ts'
import { type AppendCall, AppendCalls, AppendTarget, bulksOf } from '../../src/redis/append-call.ts'
import { Random } from '../../src/simulator/market/random.ts'
import { market } from './world.ts'

const BYTES_MAX = 1_500_000
const AGE_MS_MAX = 5_000
const STEPS = 500
const SIGNS = ['a', '"', 'é', '币', '😀'] as const
const KINDS = { TRADE: 'TRADE', KLINE: 'KLINE', ORDERBOOK: 'DELTA' } as const
const GONE: readonly Verdict[] = ['refused', 'gap', 'early', 'gapToldRefused']
const THERE: readonly Verdict[] = ['duplicate', 'gapTold']

type LineChannel = keyof typeof KINDS

/** What one acknowledged batch left behind. */
interface Memory {
  readonly line: NaiveLine
  readonly offers: readonly LineOffer[]
  readonly atMs: number
}

/** A line, what the naive ring remembers of it as plain copies, and the ring under test. */
interface NaiveLine {
  readonly batch: Omit<ChannelBatch, 'offers'>
  readonly channel: LineChannel
  readonly target: AppendTarget
  readonly ring: LineRing
  /** By part: the newest, of those that were forgotten. */
  readonly pinned: Map<string, LineOffer>
  lastId: number
}

interface UnderWay {
  readonly sent: AppendCall
  /** What the call said when it was made. */
  readonly bytes: Buffer
  readonly lines: readonly NaiveLine[]
  readonly offers: readonly (readonly LineOffer[])[]
  failed: boolean
}

/** Calls, their answers in any order, failures, fail-overs and forgetting, by chance; beside it a ring that keeps copies. */
class Story {
  readonly #random: Random
  readonly #calls = new AppendCalls()
  readonly #ring = new Ring({ bytesMax: BYTES_MAX, ageMsMax: AGE_MS_MAX })
  readonly #lines: readonly NaiveLine[]
  readonly #underWay: UnderWay[] = []
  #memories: Memory[] = []
  #nowMs = 0
  readBack = 0

  constructor(seed: number) {
    this.#random = new Random(seed, 0)
    const bell = { bytes: bulksOf(['bell']), call: 0, number: 0 }
    this.#lines = ['BTC-USDT', 'ETH-USDT', 'SOL-USDT'].flatMap((name) =>
      (Object.keys(KINDS) as LineChannel[]).map((channel) => {
        const place = { market, instrument: asInstrument(name), channel, tableVersion: 1 }
        const batch = { ...place, numbering: '', quality: 'LIVE', epoch: '' } as const
        const names = { state: name, stream: `${name}:${channel}`, gaps: 'gaps', catalogField: name }
        const target = new AppendTarget(batch, names, bell, '')
        return { batch, channel, target, ring: this.#ring.line(channel), pinned: new Map(), lastId: 0 }
      }),
    )
  }

  run(): void {
    for (let step = 0; step < STEPS; step++) {
      const chance = this.#random.below(100)
      if (chance < 45) this.#send()
      else if (chance < 85) this.#answer()
      else if (chance < 90) this.#fail()
      else if (chance < 95) this.#nowMs += this.#random.below(2_000)
      else if (chance < 99) this.#takeAll(this.#any(this.#lines))
      else this.#clear(this.#any(this.#lines))
      for (const { sent, bytes } of this.#underWay) expect(sent.bytes.equals(bytes), 'a call under way').to.equal(true)
      expect(this.#ring.bytes).to.equal(this.#bytes())
    }
    for (const line of this.#lines) this.#takeAll(line)
    expect([this.#ring.events, this.#ring.bytes]).to.deep.equal([0, 0])
  }

  #send(): void {
    const lines = this.#lines.filter(() => this.#random.below(3) === 0)
    if (lines.length === 0) return
    const offers = lines.map((line) => Array.from({ length: 1 + this.#random.below(8) }, () => this.#offer(line)))
    this.#publish(lines, offers)
  }

  #publish(lines: readonly NaiveLine[], offers: readonly (readonly LineOffer[])[]): void {
    const batches = lines.map((line, index) => ({ ...line.batch, offers: offers[index] as readonly LineOffer[] }))
    const targets = lines.map(({ target }) => target)
    const sent = this.#calls.encode('evalsha', 'hash', batches, targets, 0)
    this.#underWay.push({ sent, bytes: Buffer.from(sent.bytes), lines, offers, failed: false })
  }

  /** Answers come in any order; a call that failed has none, and its bytes stay as they are. */
  #answer(): void {
    const call = this.#any(this.#underWay.filter(({ failed }) => !failed))
    if (call === undefined) return
    this.#underWay.splice(this.#underWay.indexOf(call), 1)
    const channels = call.offers.map((offers) => {
      if (this.#random.below(2) === 0) return null
      const outcomes = offers.flatMap((_, index): OfferOutcome[] => {
        const verdict = this.#any(this.#random.below(2) === 0 ? GONE : THERE)
        return this.#random.below(3) === 0 ? [{ index, verdict, reason: null, error: null }] : []
      })
      return { epoch: '', epochChanged: false, have: '', joined: true, outcomes }
    })
    const result = { greatestEntryMs: 0, run: '', channels, sent: call.sent }
    for (const [index, line] of call.lines.entries()) {
      const offers = call.offers[index] as readonly LineOffer[]
      const gone = new Set<number>()
      for (const { index: at, verdict } of channels[index]?.outcomes ?? []) if (GONE.includes(verdict)) gone.add(at)
      line.ring.keep(offers, { result, nowMs: this.#nowMs, retried: false }, index)
      const kept = offers.filter((_, at) => !gone.has(at))
      if (kept.length > 0) this.#remember(line, structuredClone(kept))
    }
    call.sent.release()
  }

  /** It is sent again as a call of its own; what became of the first nobody knows. */
  #fail(): void {
    const call = this.#any(this.#underWay.filter(({ failed }) => !failed))
    if (call === undefined) return
    call.failed = true
    this.#publish(call.lines, call.offers)
  }

  #remember(line: NaiveLine, offers: readonly LineOffer[]): void {
    for (const { part } of offers) line.pinned.delete(part)
    this.#memories.push({ line, offers, atMs: this.#nowMs })
    for (;;) {
      const oldest = this.#memories[0]
      if (oldest === undefined || (this.#bytes() <= BYTES_MAX && this.#nowMs - oldest.atMs <= AGE_MS_MAX)) return
      this.#memories.shift()
      for (const part of new Set(oldest.offers.map((offer) => offer.part))) {
        const isNewest = !this.#memories.some(
          (other) => other.line === oldest.line && other.offers.some((offer) => offer.part === part),
        )
        const last = oldest.offers.findLast((offer) => offer.part === part) as LineOffer
        if (isNewest && last.kind !== 'SNAPSHOT') oldest.line.pinned.set(part, last)
      }
    }
  }

  #takeAll(line: NaiveLine): void {
    const found = line.ring.takeAll(false, 'trace').filter(({ source }) => source !== 'dispatcher.ring')
    const remembered = this.#memories.filter((memory) => memory.line === line).flatMap(({ offers }) => offers)
    const expected = [...line.pinned.values(), ...remembered].map((offer) => acknowledgedOffer(plain(offer), 'LIVE'))
    expect(found).to.deep.equal(expected)
    this.readBack += found.length
    this.#forget(line)
  }

  #clear(line: NaiveLine): void {
    line.ring.clear()
    this.#forget(line)
  }

  #forget(line: NaiveLine): void {
    line.pinned.clear()
    this.#memories = this.#memories.filter((memory) => memory.line !== line)
  }

  #bytes(): number {
    let bytes = 0
    for (const { offers } of this.#memories) for (const offer of offers) bytes += heldBytesOf(offer)
    for (const { pinned } of this.#lines) for (const offer of pinned.values()) bytes += heldBytesOf(offer)
    return bytes
  }

  #offer(line: NaiveLine): LineOffer {
    const random = this.#random
    const id = ++line.lastId
    const length = random.below(30) === 0 ? random.below(40_000) : random.below(1_500)
    const kind = line.channel === 'ORDERBOOK' && random.below(20) === 0 ? 'SNAPSHOT' : KINDS[line.channel]
    const interval = this.#any(['1m', '5m'])
    return acknowledgedOffer(
      {
        kind,
        id: line.channel === 'KLINE' ? `${interval}@${id}@1` : `${id}`,
        first: kind === 'DELTA' ? `${id}` : '',
        venueTimeUs: random.below(1_000_000),
        receivedTimeUs: 1_700_000_000_000_000 + id,
        source: 'test',
        trace: `${line.batch.instrument} ${line.channel} ${id}`,
        declare: random.below(10) === 0 ? 'lost' : '',
        refresh: kind === 'SNAPSHOT' && random.below(2) === 0,
        data: `${id} ${this.#any(SIGNS).repeat(length)}`,
      },
      'LIVE',
    )
  }

  #any<One>(all: readonly One[]): One {
    return all[this.#random.below(Math.max(1, all.length))] as One
  }
}

function plain({ kind, id, first, venueTimeUs, receivedTimeUs, source, trace, declare, refresh, data }: LineOffer) {
  return { kind, id, first, venueTimeUs, receivedTimeUs, source, trace, declare, refresh, data }
}

describe('the memory of calls and of the ring', () => {
  it('gives back what was sent, whatever was sent, answered, failed, forgotten and taken meanwhile', function () {
    this.timeout(90_000)
    let readBack = 0
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const story = new Story(seed)
        story.run()
        readBack += story.readBack
      }),
      { numRuns: 10 },
    )
    expect(readBack, 'offers read back').to.be.greaterThan(1_000)
  })
})
