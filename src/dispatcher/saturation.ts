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
  /** Makes room until `hasRoom` or there is nothing more to merge. */
  readonly relieve: (hasRoom: () => boolean) => void
  readonly tell: (kind: 'overloaded' | 'relieved' | 'saturated' | 'drained', message: string) => void
}

/** Merging goes on until the queues are filled to this part of their bounds; else it would be called for every event. */
const RELIEVED_SHARE = 7 / 8

/**
 * Whether the sink wants no more for now. At the bound of the queues two things follow one another, both incidents: something
 * takes less than the venue gives. Overloaded: what waits is merged, where events can stand for others, until the queues
 * are half empty. Full: what is left cannot be merged, trades above all, so nothing more is read until then. A rest is everyday work and short: a few calls are behind. If it was in vain, because the
 * bus is away or events are held behind a hole, reading goes on, and the next one comes after as many events again.
 */
export class Saturation {
  readonly #options: SaturationOptions
  #full = false
  #overloaded = false
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

  get overloaded(): boolean {
    return this.#overloaded
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
      this.#overload()
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
    if (this.#overloaded) {
      if (!this.#isBelow(1 / 2)) return
      this.#overloaded = false
      this.#options.tell('relieved', `the bus keeps up again: ${events} events, ${bytes} bytes wait`)
      if (!this.#full) return
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

  #overload(): void {
    const { queue, relieve, tell } = this.#options
    if (!this.#overloaded) {
      this.#overloaded = true
      tell('overloaded', `the bus does not keep up: ${queue.events} events, ${queue.bytes} bytes wait and are merged`)
    }
    relieve(() => this.#isBelow(RELIEVED_SHARE))
    if (this.#full || this.#isBelow(RELIEVED_SHARE)) return
    this.#full = true
    tell('saturated', `the queues are full: ${queue.events} events, ${queue.bytes} bytes; nothing is read`)
  }

  #isBelow(share: number): boolean {
    const { limits, queue } = this.#options
    return queue.events <= limits.queueEventsMax * share && queue.bytes <= limits.queueBytesMax * share
  }

  close(): void {
    this.#cancelRest?.()
    this.#cancelRest = null
  }

  #drained(): void {
    for (const callback of this.#callbacks) callback()
  }
}
