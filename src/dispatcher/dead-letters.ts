import type { Clock } from '../lib/clock.ts'

/** One dead letter: the first of its kind within a second stands for all of them. All fields are text. */
export interface DeadLetter {
  readonly market: string
  /** `malformed`, `unmapped`, `oversized`, or `refused-...` with the script's reason. */
  readonly reason: string
  /** The native topic, '' where unknown. */
  readonly topic: string
  readonly detail: string
  /** At most 1,000 characters of the input. */
  readonly sample: string
  /** Us, ours. */
  readonly receivedTime: string
  /** How many of this kind came since the last record of it, this one included. */
  readonly count: string
}

/** Where dead letters go. Rejects with `BusError` when it cannot take one; then it is counted as lost and dropped. */
export interface DeadLetterLog {
  append(letter: DeadLetter): Promise<void>
}

export interface DeadLettersOptions {
  readonly log: DeadLetterLog
  readonly clock: Clock
  readonly market: string
  /** Letters that wait for the log; beyond it the newest is dropped and counted. */
  readonly queueMax: number
  /** Kinds (reason and topic) told apart; beyond it all others count as one kind a reason. */
  readonly kindsMax: number
  /** A letter was appended or given up. */
  settled(): void
}

const REPEAT_MS = 1_000
const SAMPLE_CHARACTERS_MAX = 1_000

/** Counts what could not be used, and tells of each kind at most once a second, so that a flood harms nobody. */
export class DeadLetters {
  readonly #options: DeadLettersOptions
  readonly #kinds = new Map<string, { toldMs: number; since: number }>()
  #queue: DeadLetter[] = []
  #appending = false
  readonly byReason = new Map<string, number>()
  total = 0
  /** Letters that the log did not take or that found the queue full; they are counted all the same. */
  untold = 0

  constructor(options: DeadLettersOptions) {
    this.#options = options
  }

  get waiting(): number {
    return this.#queue.length + (this.#appending ? 1 : 0)
  }

  add(reason: string, topic: string | null, detail: string, sample: string, receivedTimeUs: number): void {
    this.total++
    this.byReason.set(reason, (this.byReason.get(reason) ?? 0) + 1)
    const kind = this.#kindOf(reason, topic ?? '')
    kind.since++
    const nowMs = this.#options.clock.monotonicMs()
    if (nowMs - kind.toldMs < REPEAT_MS) return
    kind.toldMs = nowMs
    const count = kind.since
    kind.since = 0
    if (this.#queue.length >= this.#options.queueMax) {
      this.untold++
      return
    }
    this.#queue.push({
      market: this.#options.market,
      reason,
      topic: topic ?? '',
      detail,
      sample: sample.slice(0, SAMPLE_CHARACTERS_MAX),
      receivedTime: `${receivedTimeUs}`,
      count: `${count}`,
    })
    if (!this.#appending) void this.#drain()
  }

  #kindOf(reason: string, topic: string): { toldMs: number; since: number } {
    const full = this.#kinds.size >= this.#options.kindsMax
    const name = `${reason} ${topic}`
    let kind = this.#kinds.get(name) ?? (full ? this.#kinds.get(reason) : undefined)
    if (kind === undefined) {
      kind = { toldMs: Number.NEGATIVE_INFINITY, since: 0 }
      this.#kinds.set(full ? reason : name, kind)
    }
    return kind
  }

  async #drain(): Promise<void> {
    this.#appending = true
    for (;;) {
      const letter = this.#queue.shift()
      if (letter === undefined) break
      try {
        await this.#options.log.append(letter)
      } catch {
        // The log is a courtesy; the number is the promise.
        this.untold++
      }
    }
    this.#appending = false
    this.#options.settled()
  }
}
