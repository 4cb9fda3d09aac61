import type { BookTail } from '../bus/book-tail.ts'
import type { ChannelBatch, EventBus, OfferOutcome } from '../bus/publish.ts'
import { type BookChange, rollForward } from '../domain/book/roll.ts'
import { Channel, Quality } from '../domain/event.ts'
import type { Instrument, VenueSymbol } from '../domain/instrument.ts'
import type { Clock } from '../lib/clock.ts'
import type { Answer, PollSource, WantedPoll } from '../pollers/poll.ts'
import type { VenueBookSnapshot, VenuePolls, VenueTicker } from '../venues/venue.ts'
import { offerOf, payloadOf } from './canonical.ts'

export interface PolledEventsOptions {
  readonly venue: VenuePolls
  readonly bus: EventBus
  readonly tail: BookTail
  readonly clock: Clock
  /** The venue's name of an instrument. */
  readonly symbolOf: (instrument: Instrument) => VenueSymbol
  /** Table version under which a channel's events are offered now; null: nobody wants it any more. */
  readonly versionOf: (instrument: Instrument, channel: Channel) => number | null
  readonly trace: () => string
}

/** How far back a book is rolled forward from: two minutes of deltas every 100 ms. */
const TAIL_ENTRIES = 1_200
/** A book moves on while its snapshot is rolled forward; it is tried again with what came. */
const TRIES_MAX = 20
const EARLY_WAIT_MS = 50

/** Takes polled answers to the streams the way of frames: canonical, then offered to the same script. */
export class PolledEvents implements PollSource {
  readonly #options: PolledEventsOptions

  constructor(options: PolledEventsOptions) {
    this.#options = options
  }

  async fetch(poll: WantedPoll): Promise<Answer> {
    const { venue, symbolOf } = this.#options
    const symbol = symbolOf(poll.instrument)
    if (poll.type === 'TICKER') {
      const ticker = await venue.pollTicker(symbol)
      return () => this.#offerTicker(poll, ticker)
    }
    const snapshot = await venue.pollBookSnapshot(symbol)
    return () => this.#offerSnapshot(poll, snapshot)
  }

  async #offerTicker(poll: WantedPoll, ticker: VenueTicker): Promise<boolean> {
    const outcome = await this.#offer(poll, Channel.Ticker, ticker)
    return outcome === 'appended'
  }

  /** Until the snapshot equals the stream's position, where it may stand; the stream goes on meanwhile. */
  async #offerSnapshot(poll: WantedPoll, snapshot: VenueBookSnapshot): Promise<boolean> {
    const { tail, clock } = this.#options
    for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
      const entries = await tail.newest(poll.market, poll.instrument, TAIL_ENTRIES)
      const newestBreak = entries.findIndex(({ kind }) => kind !== 'delta')
      const before = entries[newestBreak]
      // A book that nobody has begun, or that is broken, is for ingest to join: it has the deltas that must follow.
      if (entries.length === 0 || before?.kind === 'gap') return false
      // The stream has a newer whole book than this one.
      if (before?.kind === 'snapshot' && before.last > snapshot.last) return false
      const changes = entries.slice(0, newestBreak === -1 ? entries.length : newestBreak).reverse() as BookChange[]
      const book = rollForward(snapshot, changes)
      if (book === null) return false
      const outcome = await this.#offer(poll, Channel.OrderBook, { ...snapshot, ...book })
      if (outcome === 'appended') return true
      if (outcome === 'refused') return false
      if (outcome === 'early') await new Promise<void>((resolve) => clock.after(EARLY_WAIT_MS, resolve))
    }
    return false
  }

  async #offer(
    { market, instrument }: WantedPoll,
    channel: Channel,
    event: VenueTicker | VenueBookSnapshot,
  ): Promise<'appended' | OfferOutcome['verdict']> {
    const { bus, versionOf, trace } = this.#options
    const tableVersion = versionOf(instrument, channel)
    if (tableVersion === null) return 'refused'
    const offer = { ...offerOf(event, payloadOf(event), trace()), refresh: true }
    const batch: ChannelBatch = {
      ...{ market, instrument, channel, tableVersion, numbering: '', quality: Quality.Live, epoch: '' },
      offers: [offer],
    }
    const { channels, sent } = await bus.publish([batch])
    // Nothing of it is remembered.
    sent.release()
    return channels[0]?.outcomes[0]?.verdict ?? 'appended'
  }
}
