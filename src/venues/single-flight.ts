import type { VenueSymbol } from '../domain/instrument.ts'
import type { Clock } from '../lib/clock.ts'
import { metrics } from '../telemetry/metrics.ts'
import { VenueRateLimitError } from './errors.ts'
import type { LimitStore } from './limit-store.ts'
import type { VenueBookSnapshot, VenueRest } from './venue.ts'

export interface SingleFlightOptions {
  readonly rest: VenueRest
  readonly store: LimitStore
  /** For metrics. */
  readonly market: string
  /** Unique among all processes. */
  readonly owner: string
  readonly clock: Clock
  readonly failed: (error: unknown) => void
}

/** By then the other process's snapshot is most likely in the stream. */
const RETRY_MS = 1_000
/** A process that dies holds nobody up for longer. */
const LEASE_MS = 3_000
const RENEW_MS = 1_000

/**
 * The same REST, with at most one book snapshot of a symbol under way over all processes: one that asks while another does is
 * answered `VenueRateLimitError`, to ask again if the other's snapshot did not help it. Without Redis everybody asks, because a
 * second snapshot costs weight and a missing one a book.
 */
export function withSingleFlight(options: SingleFlightOptions): VenueRest {
  const { rest, store, owner, clock, market, failed } = options
  let asked = 0

  async function fetchBookSnapshot(symbol: VenueSymbol): Promise<VenueBookSnapshot> {
    const lease = `snapshot:${symbol}`
    asked += 1
    const holder = `${owner}:${asked}`
    const isOurs = await store.lease(lease, holder, LEASE_MS).catch((error: unknown) => {
      failed(error)
      return true
    })
    if (!isOurs) {
      metrics.venueSnapshotsShared.inc({ market })
      throw new VenueRateLimitError(
        `${market}: a snapshot of ${symbol} was not asked for, because another process asks for it; ask again in ${RETRY_MS} ms`,
        { retryAfterMs: RETRY_MS },
      )
    }
    let cancel = (): void => {}
    const renewLater = (): void => {
      cancel = clock.after(RENEW_MS, () => {
        store.lease(lease, holder, LEASE_MS).catch(failed)
        renewLater()
      })
    }
    renewLater()
    try {
      return await rest.fetchBookSnapshot(symbol)
    } finally {
      cancel()
      store.release(lease, holder).catch(failed)
    }
  }

  return {
    fetchInstruments: () => rest.fetchInstruments(),
    fetchBookSnapshot,
    fetchTrades: (symbol, numbering, fromId, limit) => rest.fetchTrades(symbol, numbering, fromId, limit),
    fetchKlines: (symbol, interval, from, to) => rest.fetchKlines(symbol, interval, from, to),
    fetchTime: () => rest.fetchTime(),
  }
}
