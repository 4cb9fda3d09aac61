import { randomBytes } from 'node:crypto'

const TRACE_LENGTH = 32
/** Two hex digits. */
const TRACES_A_BLOCK = 256
const BLOCK_LENGTH = TRACE_LENGTH * TRACES_A_BLOCK
const HEX = Buffer.from('0123456789abcdef')

/**
 * Trace ids: 16 hex digits of this process's start, then a running number in 16. They are cut out of one text for 256 of
 * them: making each for itself costs more than all its other way through the dispatcher.
 */
export class Traces {
  readonly #prefix = randomBytes(8).toString('hex')
  readonly #bytes = Buffer.allocUnsafe(BLOCK_LENGTH)
  #blocks = 0
  #text = ''
  #at = 0

  next(): string {
    if (this.#at === this.#text.length) this.#refill()
    const from = this.#at
    this.#at = from + TRACE_LENGTH
    return this.#text.slice(from, this.#at)
  }

  /** Within a block only the last two digits differ. */
  #refill(): void {
    const bytes = this.#bytes
    bytes.write(`${this.#prefix}${(this.#blocks++).toString(16).padStart(14, '0')}`, 'latin1')
    for (let filled = TRACE_LENGTH; filled < BLOCK_LENGTH; filled *= 2) bytes.copyWithin(filled, 0, filled)
    for (let index = 0; index < TRACES_A_BLOCK; index++) {
      const end = (index + 1) * TRACE_LENGTH
      bytes[end - 2] = HEX[index >> 4] as number
      bytes[end - 1] = HEX[index & 15] as number
    }
    this.#text = bytes.toString('latin1')
    this.#at = 0
  }
}
