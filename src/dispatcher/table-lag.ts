import type { LineKey } from './line.ts'

/**
 * Lines whose offers are refused as made under an older table. The table went on, and this process is about to hear of it:
 * then they stop, or go on under the new one. Only who never hears of it loses something, and that has to be told.
 */
export class TableLag {
  readonly #toleratedMs: number
  /** Since when, monotonic. */
  readonly #sinceMs = new Map<LineKey, number>()

  constructor(toleratedMs: number) {
    this.#toleratedMs = toleratedMs
  }

  /** Another table is in force here. */
  clear(): void {
    this.#sinceMs.clear()
  }

  /** One more was refused; answers whether that can still be the ordinary delay. */
  tolerates(key: LineKey, nowMs: number): boolean {
    const sinceMs = this.#sinceMs.get(key) ?? nowMs
    this.#sinceMs.set(key, sinceMs)
    return nowMs - sinceMs < this.#toleratedMs
  }
}
