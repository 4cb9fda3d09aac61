import type { Clock } from '../lib/clock.ts'
import type { OfferGauge } from './line-offer.ts'

/** How much may wait before the sockets are asked to stand still. */
export interface SaturationLimits {
  /** Events that wait, are held, or are in a call; at either bound it is full until both are half empty. */
  readonly queueEventsMax: number
  readonly queueBytesMax: number
  /**
   * At so many events it rests until half of them are gone: what the calls cannot carry yet waits in the sockets, where it
   * costs nothing, instead of growing old in memory.
   */
  readonly readAheadEventsMax: number
  /** Longest rest, ms. */
  readonly restMsMax: number
}

export interface SaturationOptions {
  readonly limits: SaturationLimits
  readonly queue: OfferGauge
  readonly clock: Clock
  readonly tell: (kind: 'saturated' | 'drained', message: string) => void
}

/**
 * Whether the sink wants no more for now. Full is an incident: something takes less than the venue gives, and the bound
 * holds for as long as that lasts. A rest is everyday work and short: a few calls are behind. If it was in vain, because the
 * bus is away or events are held behind a hole, reading goes on, and the next one comes after as many events again.
 */
export class Saturation {
  readonly #options: SaturationOptions
  #full = false
  #cancelRest: (() => void) | null = null
  /** Where the next rest begins: beyond the bound by what waits for something else than time. */
  #restAt: number
  readonly #callbacks = new Set<() => void>()

  constructor(options: SaturationOptions) {
    this.#options = options
    this.#restAt = options.limits.readAheadEventsMax
  }

  get full(): boolean {
    return this.#full
  }

  get saturated(): boolean {
    return this.#full || this.#cancelRest !== null
  }

  /** Calls back every time it is saturated no longer; the same callback is kept once. */
  onDrained(callback: () => void): void {
    this.#callbacks.add(callback)
  }

  /** To be called when the queue has grown, unless it is saturated already. */
  grown(): void {
    const { limits, queue, clock } = this.#options
    const { events, bytes } = queue
    if (events >= limits.queueEventsMax || bytes >= limits.queueBytesMax) {
      this.#full = true
      this.#options.tell('saturated', `the queues are full: ${events} events, ${bytes} bytes`)
    } else if (events >= this.#restAt) {
      this.#cancelRest = clock.after(limits.restMsMax, () => {
        this.#cancelRest = null
        this.#restAt = queue.events + limits.readAheadEventsMax
        this.#drained()
      })
    }
  }

  /** To be called when the queue has become shorter. */
  shrunk(): void {
    const { limits, queue } = this.#options
    const { events, bytes } = queue
    if (this.#full) {
      if (events > limits.queueEventsMax / 2 || bytes > limits.queueBytesMax / 2) return
      this.#full = false
      this.#options.tell('drained', `the queues have room again: ${events} events, ${bytes} bytes`)
      this.#drained()
      return
    }
    const isOver = this.#cancelRest !== null && events <= this.#restAt / 2
    if (events <= limits.readAheadEventsMax) this.#restAt = limits.readAheadEventsMax
    if (!isOver) return
    this.close()
    this.#drained()
  }

  close(): void {
    this.#cancelRest?.()
    this.#cancelRest = null
  }

  #drained(): void {
    for (const callback of this.#callbacks) callback()
  }
}
