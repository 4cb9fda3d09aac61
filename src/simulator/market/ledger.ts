import { createWriteStream, openSync, type WriteStream } from 'node:fs'
import { UnavailableError } from '../../errors.ts'
import type { Clock } from '../../lib/clock.ts'
import type { FaultRecord } from '../source.ts'

/** The addresses a ledger's lines carry: the market's own, since no connection stands between it and its ledger. */
const STREAM_URL = 'ws://simulated/stream'
const REST_URL = 'http://simulated'
/** Lines gathered before they are written, and handed to the file system but not yet taken, in characters. */
const GATHERED_CHARACTERS_MAX = 64 * 1024
const WRITING_CHARACTERS_MAX = 8 * 1024 * 1024
export const LEDGER_FLUSH_MS = 200

/**
 * The truth about a generated market: every frame it made, before any fault, in order, in the form of a capture, so that
 * it can be replayed; depth snapshots and `exchangeInfo` as they were answered; and every fault that was applied, as
 * lines of kind `fault`, which a replay passes over.
 *
 * Throws: UnavailableError where the file cannot be written, at the start or, for what comes later, from `close`.
 */
export class Ledger {
  readonly #stream: WriteStream
  readonly #clock: Clock
  #gathered = ''
  #cancelFlush: (() => void) | null = null
  #failure: Error | null = null
  #writingCharacters = 0
  #drained: (() => void)[] = []
  lines = 0

  constructor(file: string, clock: Clock) {
    this.#clock = clock
    try {
      this.#stream = createWriteStream(file, { fd: openSync(file, 'w') })
    } catch (error) {
      throw new UnavailableError(`expected a ledger file that can be written, found: ${(error as Error).message}`, {
        cause: error,
      })
    }
    this.#stream.on('error', (error) => {
      this.#failure ??= error
      this.#wakeWaiting()
    })
  }

  /** True while more waits to be written than may: the market has to wait for `drained`. */
  get saturated(): boolean {
    return this.#failure === null && this.#writingCharacters > WRITING_CHARACTERS_MAX
  }

  /** Why nothing is written any more; null while all is well. */
  get failure(): string | null {
    return this.#failure?.message ?? null
  }

  drained(): Promise<void> {
    if (!this.saturated) return Promise.resolve()
    return new Promise((resolve) => this.#drained.push(resolve))
  }

  frame(timeUs: number, combined: string): void {
    this.#line(
      `{"ts":${timeUs / 1000},"conn":"market","kind":"ws","url":"${STREAM_URL}","msg":${JSON.stringify(combined)}}\n`,
    )
  }

  answer(timeUs: number, pathAndQuery: string, body: string): void {
    const url = JSON.stringify(REST_URL + pathAndQuery)
    this.#line(`{"ts":${timeUs / 1000},"conn":"rest","kind":"http","url":${url},"msg":${JSON.stringify(body)}}\n`)
  }

  fault(record: FaultRecord): void {
    const { timeMs, ...facts } = record
    const url = record.path === undefined ? STREAM_URL : REST_URL + record.path
    const line = { ts: timeMs, conn: 'faults', kind: 'fault', url, msg: record.data ?? '', ...facts }
    this.#line(`${JSON.stringify({ ...line, data: undefined })}\n`)
  }

  async close(): Promise<void> {
    this.#flush()
    if (!this.#stream.destroyed) await new Promise<void>((resolve) => this.#stream.end(resolve))
    if (this.#failure) {
      throw new UnavailableError(`the ledger is not whole: ${this.#failure.message}`, { cause: this.#failure })
    }
  }

  #line(line: string): void {
    this.lines += 1
    this.#gathered += line
    if (this.#gathered.length >= GATHERED_CHARACTERS_MAX) this.#flush()
    else this.#cancelFlush ??= this.#clock.after(LEDGER_FLUSH_MS, () => this.#flush())
  }

  #flush(): void {
    this.#cancelFlush?.()
    this.#cancelFlush = null
    const text = this.#gathered
    this.#gathered = ''
    if (text === '' || this.#failure || this.#stream.writableEnded) return
    this.#writingCharacters += text.length
    this.#stream.write(text, () => {
      this.#writingCharacters -= text.length
      if (!this.saturated) this.#wakeWaiting()
    })
  }

  #wakeWaiting(): void {
    const waiting = this.#drained
    this.#drained = []
    for (const resolve of waiting) resolve()
  }
}
