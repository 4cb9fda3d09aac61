import type { ChannelBatch, PublishResult } from '../bus/publish.ts'
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

/**
 * How this process's lines do against those of others that feed the same streams: who came first, and by how much the
 * others are ahead where they win. Counts in plain numbers and carries them over when Prometheus asks.
 */
export class LineRace {
  readonly #parts: LineRaceParts
  readonly #counts = new Map<string, { market: string; channel: Channel; won: number; lost: number }>()
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
      const counts = this.#countsOf(batch)
      const outcomes = result.channels[index]?.outcomes ?? []
      let told = 0
      for (let at = 0; at < batch.offers.length; at++) {
        const verdict = outcomes[told]?.index === at ? outcomes[told++]?.verdict : undefined
        const offer = batch.offers[at] as ChannelBatch['offers'][number]
        // Only what came by a line runs a race; answers of REST are late by nature.
        if (!offer.source.includes('.ws.')) continue
        if (verdict === undefined || verdict === 'gapTold') counts.won++
        else if (verdict === 'duplicate') {
          counts.lost++
          // Of the other channels the newest alone enters, and of books the copies are cut differently.
          if (batch.channel !== Channel.Trade) continue
          this.#sample({ batch, id: offer.id, receivedTimeUs: Number(offer.receivedTime) })
        }
      }
    }
  }

  close(): void {
    this.#carryOver()
    beforeScrape.delete(this.#carry)
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
