import { type Cluster, Command, type Redis } from 'ioredis'

/** Longer texts are written by one native call, shorter ones letter by letter, which is cheaper than the call. */
const LETTERS_MAX = 24
/** What stands around an argument at most: `$`, its length, two line ends. */
const FRAME_BYTES = 16
/** A character is at most so many bytes in UTF-8. */
const CHARACTER_BYTES = 3
/** Scratch memory that is kept between commands. */
const SCRATCH_BYTES_MAX = 4 * 1024 * 1024

const DOLLAR = 0x24
const CR = 0x0d
const LF = 0x0a
const ZERO = 0x30
const ASCII_END = 0x80

let scratch = Buffer.allocUnsafeSlow(256 * 1024)

/**
 * A command that keeps its reply from its promise, which resolves with nothing once the reply is here.
 *
 * ioredis assigns every command a closure of its own, and V8 makes closures that are assigned to a property among the old
 * objects. There it lives on until the next full collection, and with it all that it holds: the promise, and a reply of a
 * thousand small buffers. Nothing that was ever read would die young.
 */
abstract class AskingCommand extends Command {
  #reply: unknown = null

  override transformReply(reply: Buffer | Buffer[]): string {
    this.#reply = super.transformReply(reply)
    return ''
  }

  /** Sends it; to be called once. Answers the reply. */
  async askOf(client: Redis | Cluster): Promise<unknown> {
    await client.sendCommand(this)
    const reply = this.#reply
    this.#reply = null
    return reply
  }
}

/**
 * A command that writes itself as bytes. ioredis builds one text out of five pieces an argument and has it flattened and
 * encoded afterwards; for a call of the append script, some two thousand arguments, that is a fifth of the worker's time.
 */
export class PackedCommand extends AskingCommand {
  /** `replyEncoding`: null for bulks as bytes. */
  constructor(name: string, args: (string | number)[], replyEncoding: 'utf8' | null = 'utf8') {
    super(name, args, { replyEncoding })
  }

  override toWritable(): Buffer {
    return encodeCommand(this.name, this.args as (string | Buffer)[] as string[])
  }
}

/** A command whose bytes were written elsewhere. `key` is one of its keys: a Cluster has them all on one slot. */
export class EncodedCommand extends AskingCommand {
  readonly #bytes: Buffer

  constructor(name: 'evalsha' | 'eval', key: string, bytes: Buffer) {
    super(name, ['', 1, key], { replyEncoding: 'utf8' })
    this.#bytes = bytes
  }

  override toWritable(): Buffer {
    return this.#bytes
  }
}

/** A command in RESP: an array of bulk strings, their lengths in bytes. */
export function encodeCommand(name: string, args: readonly string[]): Buffer {
  let bytesMax = 2 * FRAME_BYTES + name.length * CHARACTER_BYTES
  for (let index = 0; index < args.length; index++) {
    bytesMax += FRAME_BYTES + (args[index] as string).length * CHARACTER_BYTES
  }
  let buffer = scratch
  if (bytesMax > buffer.length) {
    buffer = Buffer.allocUnsafeSlow(bytesMax)
    if (bytesMax <= SCRATCH_BYTES_MAX) scratch = buffer
  }
  let at = buffer.write(`*${args.length + 1}\r\n`, 'latin1')
  at = writeBulk(buffer, at, name)
  for (let index = 0; index < args.length; index++) at = writeBulk(buffer, at, args[index] as string)
  // The socket keeps what it is given until it has sent it, and the scratch memory serves the next command by then.
  return Buffer.from(buffer.subarray(0, at))
}

/** Writes one argument at `start`, where there must be room for it; answers where it ends. */
export function writeBulk(buffer: Buffer, start: number, text: string): number {
  const { length } = text
  let at = writeLength(buffer, start, length)
  if (length <= LETTERS_MAX) {
    for (let index = 0; index < length; index++) {
      const letter = text.charCodeAt(index)
      if (letter >= ASCII_END) return writeLongBulk(buffer, start, text)
      buffer[at++] = letter
    }
  } else {
    const written = buffer.write(text, at)
    if (written !== length) return writeLongBulk(buffer, start, text)
    at += written
  }
  buffer[at++] = CR
  buffer[at++] = LF
  return at
}

export function writeEmptyBulk(buffer: Buffer, start: number): number {
  let at = start
  buffer[at++] = DOLLAR
  buffer[at++] = ZERO
  buffer[at++] = CR
  buffer[at++] = LF
  buffer[at++] = CR
  buffer[at++] = LF
  return at
}

const DIGITS_MAX = 16
/** Of an integer as an argument, at most. */
export const INTEGER_BYTES = DIGITS_MAX + 7
const HALF_DIGITS = 8
/** Halves of as many digits are integers of 32 bits. */
const HALF = 100_000_000

/**
 * A safe integer >= 0 as an argument, digit by digit: V8 remembers the texts of numbers, so made into one each of them would
 * outlive what is young.
 */
export function writeInteger(buffer: Buffer, start: number, value: number): number {
  let digits = 1
  for (let next = 10; value >= next && digits < DIGITS_MAX; next *= 10) digits++
  let at = writeLength(buffer, start, digits)
  const high = Math.trunc(value / HALF)
  const split = at + Math.max(0, digits - HALF_DIGITS)
  writeDigits(buffer, split, at + digits, value - high * HALF)
  if (high > 0) writeDigits(buffer, at, split, high)
  at += digits
  buffer[at++] = CR
  buffer[at++] = LF
  return at
}

function writeDigits(buffer: Buffer, from: number, to: number, value: number): void {
  let rest = value | 0
  for (let at = to - 1; at >= from; at--) {
    const shorter = (rest / 10) | 0
    buffer[at] = ZERO + rest - shorter * 10
    rest = shorter
  }
}

/** `bytes` has a letter for each. */
export function writeBytes(buffer: Buffer, at: number, bytes: string): number {
  return at + buffer.write(bytes, at, 'latin1')
}

/** For a text that has more bytes than characters. */
function writeLongBulk(buffer: Buffer, start: number, text: string): number {
  let at = writeLength(buffer, start, Buffer.byteLength(text))
  at += buffer.write(text, at)
  buffer[at++] = CR
  buffer[at++] = LF
  return at
}

function writeLength(buffer: Buffer, start: number, length: number): number {
  let at = start
  buffer[at++] = DOLLAR
  if (length < 10) {
    buffer[at++] = ZERO + length
  } else if (length < 100) {
    buffer[at++] = ZERO + Math.trunc(length / 10)
    buffer[at++] = ZERO + (length % 10)
  } else {
    at += buffer.write(String(length), at, 'latin1')
  }
  buffer[at++] = CR
  buffer[at++] = LF
  return at
}

/** Reads arguments back where `writeBulk` has written them. */
export class BulkReader {
  readonly #buffer: Buffer
  #at: number

  constructor(buffer: Buffer, at: number) {
    this.#buffer = buffer
    this.#at = at
  }

  take(count: number): string[] {
    const buffer = this.#buffer
    const texts: string[] = []
    for (let left = count; left > 0; left--) {
      let at = this.#at + 1
      let length = 0
      for (let digit = buffer[at]; digit !== undefined && digit !== CR; digit = buffer[++at]) {
        length = length * 10 + digit - ZERO
      }
      const from = at + 2
      texts.push(length === 0 ? '' : buffer.toString('utf8', from, from + length))
      this.#at = from + length + 2
    }
    return texts
  }
}
