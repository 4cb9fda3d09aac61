import { changeQuantity, corruptQuantity, truncate } from './corrupt.ts'
import type { ActiveFault } from './fault-engine.ts'
import type { FrameFault } from './faults.ts'
import type { Random } from './market/random.ts'

/** Where frames go. */
export interface FrameReceiver {
  /** Number of the latest subscription. */
  readonly subscriptions: number
  /** `upTo`: only to subscriptions of this number or a lower one. */
  deliver(stream: string, data: string, combined: string | undefined, upTo?: number): void
}

interface Frame {
  readonly stream: string
  readonly data: string
  readonly combined: string | undefined
  /** Number of the latest subscription when it was due. */
  readonly upTo: number
}

const HELD_MAX = 10_000
/** A frame that waits for a successor of its stream goes out alone after so long: bars come every 2 s. */
const REORDER_WAIT_MS = 5_000

/** Faults of frames: at most one strikes a frame, the one told first. */
export class FaultyFrames {
  streams: FrameReceiver = { subscriptions: 0, deliver: () => {} }
  readonly #random: Random
  readonly #after: (ms: number, callback: () => void) => void
  readonly #active: ActiveFault<FrameFault>[] = []
  /** Frames that change places with the next of their stream. */
  readonly #swapped = new Map<string, Frame>()
  readonly #delayed = new Set<Frame>()
  /** Frames each `gap` has still to drop, by stream. */
  readonly #runs = new WeakMap<ActiveFault, Map<string, number>>()

  constructor(random: Random, after: (ms: number, callback: () => void) => void) {
    this.#random = random
    this.#after = after
  }

  add(active: ActiveFault<FrameFault>): () => void {
    this.#active.push(active)
    return () => this.#remove(active)
  }

  pass(stream: string, data: string, combined: string | undefined): void {
    if (this.#active.length === 0 && this.#swapped.size === 0) {
      this.streams.deliver(stream, data, combined)
      return
    }
    const before = this.#swapped.get(stream)
    if (before === undefined) {
      this.#strike({ stream, data, combined, upTo: this.streams.subscriptions })
      return
    }
    this.#swapped.delete(stream)
    this.streams.deliver(stream, data, combined)
    this.#send(before)
  }

  /** Whatever is held back goes out now. */
  release(): void {
    for (const frame of [...this.#swapped.values(), ...this.#delayed]) this.#send(frame)
    this.#swapped.clear()
    this.#delayed.clear()
  }

  #strike(frame: Frame): void {
    for (const active of this.#active) {
      const { probability } = active.fault
      if (!active.pattern.matches(frame.stream)) continue
      if (probability < 1 && this.#random.unit() >= probability) continue
      if (!this.#apply(active, frame)) continue
      if (active.stage === 'over') this.#remove(active)
      return
    }
    this.#send(frame)
  }

  /** False where the fault has nothing to do with this frame after all. */
  #apply(active: ActiveFault<FrameFault>, frame: Frame): boolean {
    const { fault } = active
    switch (fault.fault) {
      case 'drop':
        break
      case 'gap':
        if (!this.#inRun(active, frame.stream, fault.count)) return false
        break
      case 'duplicate':
        this.#send(frame)
        this.#send(frame)
        break
      case 'reorder':
        this.#swapped.set(frame.stream, frame)
        this.#after(REORDER_WAIT_MS, () => this.#sendLate(frame))
        break
      case 'delay':
        if (this.#delayed.size >= HELD_MAX) return false
        this.#delayed.add(frame)
        this.#after(fault.ms, () => {
          if (this.#delayed.delete(frame)) this.#send(frame)
        })
        break
      case 'corrupt':
        if (!this.#corrupt(fault.how, frame)) return false
    }
    active.apply({ stream: frame.stream, data: frame.data })
    return true
  }

  #inRun(active: ActiveFault, stream: string, count: number): boolean {
    let runs = this.#runs.get(active)
    if (!runs) {
      runs = new Map()
      this.#runs.set(active, runs)
    }
    const left = runs.get(stream) ?? count
    if (left > 0) runs.set(stream, left - 1)
    return left > 0
  }

  #corrupt(how: 'quantity' | 'value' | 'truncated', { stream, data, combined }: Frame): boolean {
    if (how === 'truncated') {
      const share = 0.2 + 0.7 * this.#random.unit()
      const whole = combined ?? `{"stream":"${stream}","data":${data}}`
      this.streams.deliver(stream, truncate(data, share), truncate(whole, share))
      return true
    }
    const spoilt = how === 'quantity' ? corruptQuantity(data) : changeQuantity(data)
    if (spoilt === null) return false
    this.streams.deliver(stream, spoilt, undefined)
    return true
  }

  #sendLate(frame: Frame): void {
    if (this.#swapped.get(frame.stream) !== frame) return
    this.#swapped.delete(frame.stream)
    this.#send(frame)
  }

  #send({ stream, data, combined, upTo }: Frame): void {
    this.streams.deliver(stream, data, combined, upTo)
  }

  #remove(active: ActiveFault<FrameFault>): void {
    const index = this.#active.indexOf(active)
    if (index !== -1) this.#active.splice(index, 1)
  }
}
