import type { ChannelBatch, EventBus, PublishResult } from '../bus/publish.ts'
import type { Clock } from '../lib/clock.ts'
import type { CallAnswer, CallRoom, Line } from './line.ts'

/** Bounds of one call and of the wait after a failed one. */
export interface LaneLimits {
  readonly eventsPerCallMax: number
  readonly bytesPerCallMax: number
  readonly retryDelayMs: number
  readonly retryDelayMsMax: number
  /** After so long without any call the bus is asked whether it is still the same, so that quiet channels know too, ms. */
  readonly probeAfterMs: number
}

export interface PublishFailure {
  readonly error: unknown
  /** How often the same call failed by now. */
  readonly attempt: number
  readonly delayMs: number
}

export interface LaneOptions {
  readonly bus: EventBus
  readonly clock: Clock
  readonly random: () => number
  readonly limits: LaneLimits
  /** A call failed and will be made again. */
  failed(failure: PublishFailure): void
  /** How many events wait for a call of this lane, about; 0 where that is not known. */
  waiting(): number
  /** A call was answered; its lines are settled next. */
  answered(): void
  /** They are, or there was nothing to call for. */
  settled(): void
  /** Another Redis process answers than before; all that this lane's lines know of it is void. */
  sinkChanged(): void
}

/**
 * One call to the bus at a time. While it is under way the next one gathers, so calls grow with the load and nothing
 * waits for company: a flush is scheduled for when the present burst of the sockets is handled, or made at once where a whole
 * call waited for the answer to the one before. A call whose outcome is unknown is made again unchanged, however long it
 * takes, because offering twice is safe and dropping is not.
 */
export class Lane {
  readonly #options: LaneOptions
  /** Lines that have something to offer, in turn. */
  #ring: Line[] = []
  /** Lines that only time can make ready. */
  readonly #asleep = new Set<Line>()
  #call: { readonly batches: ChannelBatch[]; readonly lines: Line[]; attempt: number } | null = null
  #scheduled = false
  #wake: { readonly dueMs: number; readonly cancel: () => void } | null = null
  #cancelRetry: (() => void) | null = null
  #closed = false
  /** `run_id` of the Redis process that answered last. */
  #run = ''
  /** What a question without offers is asked of: the batch that was answered last. */
  #asked: ChannelBatch | null = null
  #answeredMs = 0
  #probing = false
  #cancelProbe: (() => void) | null = null

  constructor(options: LaneOptions) {
    this.#options = options
  }

  get busy(): boolean {
    return this.#call !== null || this.#ring.length > 0
  }

  /** The call under way was made before and failed: the bus can not be used. */
  get failing(): boolean {
    return this.#call !== null && this.#call.attempt > 0
  }

  /** The line may have something to offer. */
  markReady(line: Line): void {
    if (!line.queued) {
      line.queued = true
      this.#ring.push(line)
    }
    if (this.#call === null) this.#flushSoon()
  }

  #flushSoon(): void {
    if (this.#scheduled || this.#closed) return
    this.#scheduled = true
    setImmediate(this.#flush)
  }

  /** Makes no further call; one under way is let be. */
  close(): void {
    this.#closed = true
    this.#cancelRetry?.()
    this.#cancelProbe?.()
    this.#wake?.cancel()
    this.#wake = null
  }

  /** Asks now whether the bus is still the same, unless a call is under way that will tell. */
  probe(): void {
    const asked = this.#asked
    if (asked === null || this.#call !== null || this.#probing || this.#closed) return
    this.#probing = true
    const answered = (result: PublishResult | null): void => {
      result?.sent.release()
      this.#probing = false
      if (this.#closed) return
      this.#answeredMs = this.#options.clock.monotonicMs()
      // The answer to a call that has begun meanwhile tells it too, and what that call carries comes back in its order then.
      if (result !== null && this.#call === null) this.#notice(result.run)
      this.#probeLater()
    }
    Promise.resolve([{ ...asked, offers: [] }])
      .then((batches) => this.#options.bus.publish(batches))
      // The next one tells; whether Redis can be reached at all is told by its connection.
      .then(answered, () => answered(null))
  }

  #probeLater(): void {
    if (this.#cancelProbe !== null || this.#closed) return
    const { clock, limits } = this.#options
    const delayMs = Math.max(1, this.#answeredMs + limits.probeAfterMs - clock.monotonicMs())
    this.#cancelProbe = clock.after(delayMs, () => {
      this.#cancelProbe = null
      const quietMs = clock.monotonicMs() - this.#answeredMs
      if (quietMs < limits.probeAfterMs || this.#call !== null) this.#probeLater()
      else this.probe()
    })
  }

  #notice(run: string): void {
    if (run === this.#run) return
    const first = this.#run === ''
    this.#run = run
    if (!first) this.#options.sinkChanged()
  }

  readonly #flush = (): void => {
    this.#scheduled = false
    if (this.#call !== null || this.#closed) return
    const nowMs = this.#options.clock.monotonicMs()
    const { eventsPerCallMax, bytesPerCallMax } = this.#options.limits
    const room: CallRoom = { events: eventsPerCallMax, bytes: bytesPerCallMax, empty: true }
    const batches: ChannelBatch[] = []
    const lines: Line[] = []
    const ring = this.#ring
    let next = 0
    while (next < ring.length && (room.empty || (room.events > 0 && room.bytes > 0))) {
      const line = ring[next++] as Line
      line.queued = false
      const batch = line.take(room, nowMs)
      if (batch !== null) {
        batches.push(batch)
        lines.push(line)
      } else if (room.empty || !line.ready(nowMs)) {
        this.#sleep(line)
      } else {
        // It had no room in this call; it is first in the next one.
        line.queued = true
        next--
        break
      }
    }
    this.#ring = ring.slice(next)
    if (batches.length === 0) {
      this.#options.settled()
      return
    }
    this.#call = { batches, lines, attempt: 0 }
    this.#publish()
  }

  #publish(): void {
    const call = this.#call
    if (call === null) return
    // A version that throws instead of rejecting is a failure like any other.
    Promise.resolve(call.batches)
      .then((batches) => this.#options.bus.publish(batches))
      .then(this.#succeeded, this.#failed)
  }

  readonly #succeeded = (result: PublishResult): void => {
    const call = this.#call
    if (call === null) return
    this.#call = null
    this.#options.answered()
    const nowMs = this.#options.clock.monotonicMs()
    const answer: CallAnswer = { result, nowMs, retried: call.attempt > 0 }
    for (let index = 0; index < call.lines.length; index++) {
      const line = call.lines[index] as Line
      line.settle(answer, index)
      if (line.ready(nowMs)) this.markReady(line)
      else this.#sleep(line)
    }
    result.sent.release()
    this.#answeredMs = nowMs
    this.#asked = call.batches[0] ?? null
    this.#notice(result.run)
    this.#probeLater()
    this.#options.settled()
    // A whole call that has arrived gains nothing from what else the sockets hold, and the bus is idle meanwhile.
    if (this.#options.waiting() >= this.#options.limits.eventsPerCallMax) this.#flush()
    else if (this.#ring.length > 0) this.#flushSoon()
  }

  readonly #failed = (error: unknown): void => {
    const call = this.#call
    if (call === null || this.#closed) return
    call.attempt++
    const { retryDelayMs, retryDelayMsMax } = this.#options.limits
    const ceilingMs = Math.min(retryDelayMsMax, retryDelayMs * 2 ** Math.min(call.attempt - 1, 20))
    const delayMs = ceilingMs / 2 + (this.#options.random() * ceilingMs) / 2
    this.#options.failed({ error, attempt: call.attempt, delayMs })
    this.#cancelRetry = this.#options.clock.after(delayMs, () => this.#publish())
  }

  #sleep(line: Line): void {
    const dueMs = line.wakeMs()
    if (dueMs === Number.POSITIVE_INFINITY) {
      this.#asleep.delete(line)
      return
    }
    this.#asleep.add(line)
    this.#wakeAt(dueMs)
  }

  #wakeAt(dueMs: number): void {
    if (this.#closed || (this.#wake !== null && this.#wake.dueMs <= dueMs)) return
    this.#wake?.cancel()
    // A timer may fire a fraction early; a millisecond later the line is due for certain.
    const delayMs = Math.max(1, Math.ceil(dueMs - this.#options.clock.monotonicMs()))
    this.#wake = { dueMs, cancel: this.#options.clock.after(delayMs, this.#awake) }
  }

  readonly #awake = (): void => {
    this.#wake = null
    const nowMs = this.#options.clock.monotonicMs()
    let nextMs = Number.POSITIVE_INFINITY
    for (const line of this.#asleep) {
      // What is queued or in a call is looked at again when that is settled.
      if (line.queued || (this.#call?.lines.includes(line) ?? false)) {
        this.#asleep.delete(line)
      } else if (line.ready(nowMs)) {
        this.#asleep.delete(line)
        this.markReady(line)
      } else {
        nextMs = Math.min(nextMs, line.wakeMs())
      }
    }
    if (nextMs !== Number.POSITIVE_INFINITY) this.#wakeAt(nextMs)
  }
}
