import { UsageError } from '../errors.ts'
import type { Clock } from '../lib/clock.ts'
import { type CheckFinding, unfitness } from '../redis/check.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { OpsTeller } from './ops-teller.ts'

const LOOK_EVERY_MS = 30_000
/** After a look that Redis did not answer, and while it is unfit. */
const LOOK_AGAIN_MS = 1_000

export interface RedisWatchOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly tellOps: OpsTeller
  /** Opens the keyspace. Throws: UsageError where it is another one's; BusError. */
  readonly openKeyspace: () => Promise<void>
  /** Throws: BusError. */
  readonly check: () => Promise<readonly CheckFinding[]>
}

/**
 * Looks whether the Redis of this moment is one that can keep the promises: what the start checks is checked again whenever
 * the connection was lost, because another Redis may have come back, and now and then, because settings can be changed
 * while it runs. An eviction policy deletes in silence; so what is found is an alarm and an obstacle to readiness, and
 * what flows goes on.
 */
export class RedisWatch {
  readonly #options: RedisWatchOptions
  readonly #lost = Promise.withResolvers<never>()
  #unfit: string | null = null
  #cancel: () => void = () => {}
  #looking = false
  #closed = false

  constructor(options: RedisWatchOptions) {
    this.#options = options
    this.#lost.promise.catch(() => {})
    this.#later(LOOK_EVERY_MS)
  }

  /** Rejects when the keyspace is one of other settings: nothing may be written to it. */
  get lost(): Promise<never> {
    return this.#lost.promise
  }

  /** Why this Redis cannot keep the promises; empty while it can. */
  obstacles(): string[] {
    return this.#unfit === null ? [] : [this.#unfit]
  }

  /** To be called whenever the connection stands again. */
  back(): void {
    this.#later(0)
  }

  close(): void {
    this.#closed = true
    this.#cancel()
  }

  #later(delayMs: number): void {
    if (this.#closed || this.#looking) return
    this.#cancel()
    this.#cancel = this.#options.clock.after(delayMs, () => {
      this.#looking = true
      void this.#look().then((nextMs) => {
        this.#looking = false
        this.#later(nextMs)
      })
    })
  }

  /** Answers after how long to look again, ms. */
  async #look(): Promise<number> {
    const { openKeyspace, check, logger } = this.#options
    try {
      await openKeyspace()
      this.#judge(unfitness(await check()))
    } catch (error) {
      if (error instanceof UsageError) this.#lost.reject(error)
      else logger.warn('redis-unseen', 'Redis could not be looked at, trying again', { error })
      return LOOK_AGAIN_MS
    }
    return this.#unfit === null ? LOOK_EVERY_MS : LOOK_AGAIN_MS
  }

  #judge(unfit: string | null): void {
    const before = this.#unfit
    this.#unfit = unfit
    if (unfit === before) return
    const { logger, tellOps } = this.#options
    if (unfit === null) {
      const message = 'Redis can keep the promises again'
      logger.info('redis-fit', message)
      tellOps({ kind: 'redis-fit', severity: 'info', message })
    } else {
      logger.error('redis-unfit', unfit)
      tellOps({ kind: 'redis-unfit', severity: 'error', message: unfit })
    }
  }
}
