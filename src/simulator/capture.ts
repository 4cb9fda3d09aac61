import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline, type Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { createGunzip } from 'node:zlib'
import { UnavailableError, UsageError } from '../errors.ts'

/** One line of a capture: what a recorder saw, in the order in which it arrived. */
export interface CaptureRecord {
  /** Receive time, Unix milliseconds with the recorder's decimals; null if unknown. */
  readonly ts: number | null
  readonly conn: string
  /** `ws` received frame, `http` answer body, `sent` frame of the client; ledgers add kinds of their own. */
  readonly kind: string
  readonly url: string
  /** The text exactly as received. */
  readonly msg: string
}

const CHUNK_BYTES = 256 * 1024
const LINE_CHARACTERS_MAX = 64 * 1024 * 1024

/** Lines of a capture that follow each other; the first of them is this one of the file, counted from 1. */
export interface CaptureLines {
  readonly first: number
  readonly lines: readonly string[]
}

/** The lines of `readCapture` as records. Throws: as `readCaptureLines`, and UsageError where a line is no record. */
export async function* readCapture(file: string): AsyncGenerator<readonly CaptureRecord[]> {
  for await (const { first, lines } of readCaptureLines(file)) {
    const records: CaptureRecord[] = []
    for (const [index, line] of lines.entries()) {
      if (line !== '') records.push(parseRecord(file, first + index, line))
    }
    if (records.length > 0) yield records
  }
}

/**
 * Reads a capture, gzip or plain (told by its first bytes, not its name), in batches of what one chunk of the file holds,
 * so that memory is bounded by the longest line.
 *
 * Throws: UnavailableError where the file cannot be read, UsageError where it ends inside its gzip data.
 */
export async function* readCaptureLines(file: string): AsyncGenerator<CaptureLines> {
  const input = await openInput(file)
  const decoder = new StringDecoder('utf8')
  let lineNumber = 0
  let rest: string[] = []
  let restLength = 0
  try {
    for await (const chunk of input) {
      const lines = decoder.write(chunk as Buffer).split('\n')
      const last = lines.pop() ?? ''
      if (lines.length > 0) {
        lines[0] = rest.join('') + lines[0]
        rest = []
        restLength = 0
      }
      rest.push(last)
      restLength += last.length
      if (restLength > LINE_CHARACTERS_MAX) {
        throw notACapture(file, lineNumber + 1, `a line of more than ${LINE_CHARACTERS_MAX} characters`)
      }
      const first = lineNumber + 1
      lineNumber += lines.length
      if (lines.length > 0) yield { first, lines }
    }
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw isZlibError(error)
      ? new UsageError(
          `${file}: expected whole gzip data, found an error after line ${lineNumber}: ${messageOf(error)}`,
          { cause: error },
        )
      : new UnavailableError(`${file} cannot be read: ${messageOf(error)}`, { cause: error })
  } finally {
    input.destroy()
  }
  const line = rest.join('') + decoder.end()
  if (line !== '') yield { first: lineNumber + 1, lines: [line] }
}

async function openInput(file: string): Promise<Readable> {
  const magic = Buffer.alloc(2)
  try {
    const handle = await open(file)
    try {
      await handle.read(magic, 0, 2, 0)
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw new UnavailableError(`${file} cannot be read: ${messageOf(error)}`, { cause: error })
  }
  const bytes = createReadStream(file, { highWaterMark: CHUNK_BYTES })
  if (magic[0] !== 0x1f || magic[1] !== 0x8b) return bytes
  // The iterator over the last stream of the pipeline throws what went wrong in either.
  return pipeline(bytes, createGunzip({ chunkSize: CHUNK_BYTES }), () => {})
}

/** Throws: UsageError where the line is no record. */
export function parseRecord(file: string, lineNumber: number, line: string): CaptureRecord {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw notACapture(file, lineNumber, shorten(line))
  }
  if (!isRecord(value)) throw notACapture(file, lineNumber, shorten(line))
  return value
}

function isRecord(value: unknown): value is CaptureRecord {
  if (typeof value !== 'object' || value === null) return false
  const record = value as Partial<Record<keyof CaptureRecord, unknown>>
  return (
    typeof record.kind === 'string' &&
    typeof record.url === 'string' &&
    typeof record.msg === 'string' &&
    typeof record.conn === 'string' &&
    (record.ts === null || typeof record.ts === 'number')
  )
}

function notACapture(file: string, lineNumber: number, found: string): UsageError {
  return new UsageError(
    `${file} is not a capture: expected at line ${lineNumber} a JSON object {ts, conn, kind, url, msg}, found ${found}`,
  )
}

function shorten(line: string): string {
  return JSON.stringify(line.length > 80 ? `${line.slice(0, 80)}...` : line)
}

function isZlibError(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' && (code.startsWith('Z_') || code === 'ERR_STREAM_PREMATURE_CLOSE')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
