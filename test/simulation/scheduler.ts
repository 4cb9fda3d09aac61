import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock } from '../../src/lib/clock.ts'

/** Who runs a task: a process of the simulation. A paused one runs nothing until it goes on, a dead one nothing ever. */
export interface Owner {
  readonly name: string
  state: 'running' | 'paused' | 'dead'
  readonly backlog: (() => void)[]
}

interface Task {
  readonly dueMs: number
  readonly order: number
  readonly owner: Owner | null
  callback: (() => void) | null
}

/** The machine's own, however often the global one is replaced. */
const turn = setImmediate
const START_MS = 1_700_000_000_000
/** What runs within a history. Other tests of this process may have left something that still runs beside it. */
const within = new AsyncLocalStorage<Scheduler>()

/** Numbers of a seed, always the same ones (mulberry32). */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** In [0, 1). */
  readonly next = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  between(from: number, to: number): number {
    return from + this.next() * (to - from)
  }

  /** A whole number in `from..to`. */
  whole(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.next() * items.length)] as Item
  }
}

/**
 * All that happens in a history, one task after the other: timers, frames, requests and replies, and what the code under
 * test puts off by `setImmediate`. Between two tasks every promise that can go on has gone on.
 */
export class Scheduler {
  readonly #heap: Task[] = []
  readonly #dice: Dice
  #nowMs = START_MS
  #order = 0
  #running: Owner | null = null
  steps = 0

  constructor(dice: Dice) {
    this.#dice = dice
  }

  get nowMs(): number {
    return this.#nowMs
  }

  /** Since the history began. */
  get elapsedMs(): number {
    return this.#nowMs - START_MS
  }

  /** Runs `callback` as a task of `owner` (null: of the world); the answer cancels it. */
  after(delayMs: number, owner: Owner | null, callback: () => void): () => void {
    const task: Task = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, owner, callback }
    this.#push(task)
    return () => {
      task.callback = null
    }
  }

  clockOf(owner: Owner): Clock {
    return {
      nowUs: () => Math.round(this.#nowMs * 1_000),
      monotonicMs: () => this.#nowMs,
      after: (delayMs, callback) => this.after(delayMs, owner, callback),
    }
  }

  resume(owner: Owner): void {
    if (owner.state !== 'paused') return
    owner.state = 'running'
    for (const callback of owner.backlog.splice(0)) this.after(0, owner, callback)
  }

  /** Runs the next task; false when there is none. */
  async step(): Promise<boolean> {
    const task = this.#pop()
    if (task === undefined) return false
    const { owner, callback } = task
    if (task.dueMs > this.#nowMs) this.#nowMs = task.dueMs
    if (callback === null || owner?.state === 'dead') return true
    if (owner?.state === 'paused') {
      owner.backlog.push(callback)
      return true
    }
    this.steps++
    this.#running = owner
    callback()
    // The world awaits nothing.
    if (owner !== null) await new Promise<void>((resolve) => turn(resolve))
    this.#running = null
    return true
  }

  /** Replaces what would take the order of things, or chance, from outside while `work` runs. */
  async govern<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    const { setImmediate: immediate } = globalThis
    const { random } = Math
    const isOurs = (): boolean => within.getStore() === this
    const later = (callback: () => void): unknown =>
      isOurs() ? this.after(this.#dice.next() < 0.9 ? 0 : 1, this.#running, callback) : turn(callback)
    globalThis.setImmediate = later as typeof setImmediate
    Math.random = () => (isOurs() ? this.#dice.next() : random())
    try {
      return await within.run(this, work)
    } finally {
      globalThis.setImmediate = immediate
      Math.random = random
    }
  }

  #push(task: Task): void {
    const heap = this.#heap
    let at = heap.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as Task
      if (!isBefore(task, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = task
  }

  #pop(): Task | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Task, heap[child] as Task)) child++
      if (!isBefore(heap[child] as Task, last)) break
      heap[at] = heap[child] as Task
      at = child
    }
    heap[at] = last
    return first
  }
}

function isBefore(one: Task, other: Task): boolean {
  return one.dueMs < other.dueMs || (one.dueMs === other.dueMs && one.order < other.order)
}
