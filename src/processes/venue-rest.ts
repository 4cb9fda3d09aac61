import { hostname } from 'node:os'
import type { Config } from '../config/schema.ts'
import type { Clock } from '../lib/clock.ts'
import type { RedisConnection } from '../redis/connection.ts'
import { RedisEgresses } from '../redis/gateway-limits.ts'
import type { Keys } from '../redis/keys.ts'
import { RedisLimits } from '../redis/limits.ts'
import type { Logger } from '../telemetry/logger.ts'
import { BinanceRest } from '../venues/binance/binance.ts'
import type { ConnectBudget } from '../venues/limit-store.ts'
import { SharedRequestBudget } from '../venues/shared-budget.ts'
import { withSingleFlight } from '../venues/single-flight.ts'
import type { VenuePolls, VenueRest } from '../venues/venue.ts'
import { MARKET } from './market.ts'

/** The venue's documented weight per minute until it tells its own. */
export const WEIGHT_PER_MINUTE = 6_000
const REQUESTS_WAITING_MAX = 5_000
const VENUE = 'binance'
/** A Redis that came back empty knows the egress again after so long. */
const NAME_EVERY_MS = 10_000

export interface VenueRestParts {
  readonly config: Config
  readonly restUrl: string
  /** For the budget; nothing of the data path goes over it. */
  readonly connection: RedisConnection
  readonly keys: Keys
  readonly worker: string
  readonly clock: Clock
  readonly logger: Logger
}

export interface OpenVenueRest {
  /** One snapshot of a book at a time is asked for, whoever asks. */
  readonly rest: VenueRest
  readonly polls: VenuePolls
  /** Attempts to open a stream connection, shared likewise. */
  readonly connects: ConnectBudget
  /** What the venue allows in a minute, as it told this process itself, else as it is documented. */
  readonly weightPerMinute: () => number
  close(): Promise<void>
}

/** The venue's REST, paid from the budget that all processes of one address share. */
export function venueRestOnRedis(parts: VenueRestParts): OpenVenueRest {
  const { config, restUrl, connection, keys, worker, clock, logger } = parts
  const { requestWeightShare, depthLimit, depthTimeoutMs, restTimeoutMs } = config.venues.binance
  const egress = config.venues.binance.egress ?? hostname()
  const store = new RedisLimits(connection, keys, VENUE, egress, WEIGHT_PER_MINUTE)
  const failed = (error: unknown): void =>
    logger.warn('budget-unreachable', 'the shared request budget cannot be reached and counts as spent', { error })
  const egresses = new RedisEgresses(connection, keys, WEIGHT_PER_MINUTE)
  const stopNaming = nameAgainAndAgain(clock, () => egresses.name(VENUE, egress, clock.nowUs()), failed)
  const budget = new SharedRequestBudget({
    ...{ store, clock, market: MARKET, usableShare: requestWeightShare, waitingMax: REQUESTS_WAITING_MAX, failed },
  })
  const venue = new BinanceRest({
    ...{ market: MARKET, restUrl, clock, depthLimit, depthTimeoutMs, timeoutMs: restTimeoutMs, budget },
  })
  return {
    rest: withSingleFlight({ rest: venue, store, market: MARKET, owner: worker, clock, failed }),
    polls: venue,
    connects: store,
    weightPerMinute: () => budget.weightLearnt ?? WEIGHT_PER_MINUTE,
    close: async () => {
      stopNaming()
      budget.close()
      await venue.close()
    },
  }
}

/** Names the egress now and from time to time. One call at a time; answers what ends it. */
function nameAgainAndAgain(clock: Clock, name: () => Promise<void>, failed: (error: unknown) => void): () => void {
  let isOver = false
  let cancel = (): void => {}
  const next = async (): Promise<void> => {
    await name().catch(failed)
    if (!isOver) cancel = clock.after(NAME_EVERY_MS, () => void next())
  }
  void next()
  return () => {
    isOver = true
    cancel()
  }
}
