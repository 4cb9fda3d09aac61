import assert from 'node:assert'
import type { ChannelBatch, Offer, OfferReader, SentCall } from '../bus/publish.ts'
import type { Channel } from '../domain/event.ts'
import type { Market } from '../domain/instrument.ts'
import { BulkReader, INTEGER_BYTES, writeBulk, writeBytes, writeEmptyBulk, writeInteger } from './packed-command.ts'

/** What stands around a bulk at most, and how many bytes a character has at most in UTF-8. */
const FRAME_BYTES = 16
const CHARACTER_BYTES = 3
const FIELDS_A_GROUP = 10
const FIELDS_AN_OFFER = 8
const KEYS_A_GROUP = 3
/** Where a call is written at first; one that needs more room is moved. */
const CALL_BYTES = 256 * 1024
/** Memory kept for calls to come: so many pieces, each of so many bytes at most. */
const FREE_COUNT_MAX = 8
const FREE_BYTES_MAX = 1024 * 1024
const NOWHERE = Buffer.alloc(0)

/** A bell of a partition. Its number is that of the call in which it was last named. */
export interface Bell {
  readonly bytes: string
  call: number
  number: number
}

/**
 * One channel's part of every call, kept as bytes: its keys, and the fields of its group that seldom change. Where many
 * instruments share a call, groups hold an event or two each, and this is most of what there is to write. The bytes stand in
 * texts: a small buffer is a piece of 64 KiB, and would keep all of it for as long as its channel lives.
 */
export class AppendTarget {
  readonly market: Market
  readonly channel: Channel
  readonly stream: string
  readonly state: string
  readonly bell: Bell
  readonly keys: string
  readonly catalogField: string
  inCatalog = false
  epoch = ''
  readonly #maxLength: string
  #head = ''
  /** Of the batch that it was made for; the batch itself holds its offers. */
  #headOf: Pick<ChannelBatch, 'epoch' | 'tableVersion' | 'quality' | 'numbering'> | null = null

  constructor(
    { market, channel }: { readonly market: Market; readonly channel: Channel },
    names: { readonly state: string; readonly stream: string; readonly gaps: string; readonly catalogField: string },
    bell: Bell,
    maxLength: string,
  ) {
    this.market = market
    this.channel = channel
    this.stream = names.stream
    this.state = names.state
    this.catalogField = names.catalogField
    this.bell = bell
    this.keys = bulksOf([names.state, names.stream, names.gaps])
    this.#maxLength = maxLength
  }

  /** The fields of the batch's group between the number of its bell and that of its offers. */
  headOf(batch: ChannelBatch): string {
    const known = this.#headOf
    if (
      known === null ||
      known.epoch !== batch.epoch ||
      known.tableVersion !== batch.tableVersion ||
      known.quality !== batch.quality ||
      known.numbering !== batch.numbering
    ) {
      const { channel, market, instrument, epoch, tableVersion, numbering, quality } = batch
      const fields = [channel, market, instrument, epoch, String(tableVersion), numbering, quality, this.#maxLength]
      this.#head = bulksOf(fields)
      this.#headOf = { epoch, tableVersion, quality, numbering }
    }
    return this.#head
  }
}

/**
 * Writes calls of the append script, in the layout that the head of `append.lua` describes, as the bytes that go to Redis:
 * no text and no array is made on the way. Where a call stands, the next one is written once it was released: its bytes are
 * the socket's until Redis answers, and for as long as anyone may copy from them.
 */
export class AppendCalls {
  /** Where the call that is being written stands. */
  #buffer: Buffer = NOWHERE
  readonly #free: Buffer[] = []
  #calls = 0

  /** `name` is the command and `script` its first argument: EVALSHA with the hash, or EVAL with the source. */
  encode(
    name: string,
    script: string,
    batches: readonly ChannelBatch[],
    targets: readonly AppendTarget[],
    floorMs: number,
  ): AppendCall {
    const bells = this.#numberBells(targets)
    const keys = batches.length * KEYS_A_GROUP + bells.length
    let offers = 0
    for (let index = 0; index < batches.length; index++) offers += (batches[index] as ChannelBatch).offers.length
    const strings = 5 + keys + batches.length * FIELDS_A_GROUP + offers * FIELDS_AN_OFFER
    let at = 0
    this.#buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(CALL_BYTES)
    this.#reserve(at, name.length, script.length * CHARACTER_BYTES)
    at += this.#buffer.write(`*${strings}\r\n`, at, 'latin1')
    at = writeBulk(this.#buffer, at, name)
    at = writeBulk(this.#buffer, at, script)
    at = writeBulk(this.#buffer, at, String(keys))
    for (let index = 0; index < targets.length; index++) {
      const { keys: bytes } = targets[index] as AppendTarget
      this.#reserve(at, bytes.length, 0)
      at = writeBytes(this.#buffer, at, bytes)
    }
    for (const { bytes } of bells) {
      this.#reserve(at, bytes.length, 0)
      at = writeBytes(this.#buffer, at, bytes)
    }
    this.#reserve(at, 0, 0)
    at = writeBulk(this.#buffer, at, String(floorMs))
    at = writeBulk(this.#buffer, at, String(batches.length))
    const edges: number[] = []
    for (let index = 0; index < batches.length; index++) {
      const batch = batches[index] as ChannelBatch
      at = this.#head(at, batch, targets[index] as AppendTarget)
      edges.push(at)
      at = this.#offers(at, batch.offers)
      edges.push(at)
    }
    const memory = this.#buffer
    this.#buffer = NOWHERE
    return new AppendCall(memory, at, edges, this.#free)
  }

  #numberBells(targets: readonly AppendTarget[]): readonly Bell[] {
    const call = ++this.#calls
    const bells: Bell[] = []
    for (let index = 0; index < targets.length; index++) {
      const { bell } = targets[index] as AppendTarget
      if (bell.call === call) continue
      bell.call = call
      bell.number = bells.length
      bells.push(bell)
    }
    return bells
  }

  #head(start: number, batch: ChannelBatch, target: AppendTarget): number {
    const head = target.headOf(batch)
    this.#reserve(start, head.length, 0)
    let at = writeBulk(this.#buffer, start, String(target.bell.number))
    at = writeBytes(this.#buffer, at, head)
    return writeBulk(this.#buffer, at, String(batch.offers.length))
  }

  #offers(start: number, offers: readonly Offer[]): number {
    let at = start
    for (let index = 0; index < offers.length; index++) {
      const offer = offers[index] as Offer
      const { id, first, venueTimeUs, receivedTimeUs, source, trace, data } = offer
      const characters = id.length + first.length + source.length + trace.length + data.length
      this.#reserve(at, 2 * INTEGER_BYTES, characters * CHARACTER_BYTES)
      const buffer = this.#buffer
      const flags = flagsOf(offer)
      at = flags === '' ? writeEmptyBulk(buffer, at) : writeBulk(buffer, at, flags)
      at = writeBulk(buffer, at, id)
      at = first === '' ? writeEmptyBulk(buffer, at) : writeBulk(buffer, at, first)
      at = venueTimeUs === null ? writeEmptyBulk(buffer, at) : writeInteger(buffer, at, venueTimeUs)
      at = writeInteger(buffer, at, receivedTimeUs)
      at = writeBulk(buffer, at, source)
      at = writeBulk(buffer, at, trace)
      at = writeBulk(buffer, at, data)
    }
    return at
  }

  /** Room for so many bytes, the texts of one offer, and what stands around them. */
  #reserve(at: number, bytes: number, textBytes: number): void {
    const needed = at + bytes + textBytes + 2 * FIELDS_AN_OFFER * FRAME_BYTES
    if (needed <= this.#buffer.length) return
    const greater = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(greater, 0, 0, at)
    this.#buffer = greater
  }
}

const plainKinds: Readonly<Partial<Record<Channel, Offer['kind']>>> = {
  TRADE: 'TRADE',
  QUOTE: 'QUOTE',
  TICKER: 'TICKER',
  KLINE: 'KLINE',
  ORDERBOOK: 'DELTA',
}
type Fields = [string, string, string, string, string, string, string, string]

const kindOfLetter: Readonly<Record<string, Offer['kind']>> = { S: 'SNAPSHOT', R: 'SNAPSHOT', G: 'GIVEUP', L: 'LOST' }

/** A call as it went out, and where the offers of its groups stand. */
export class AppendCall implements SentCall {
  readonly reader = offerReader
  /** Null once it was released. */
  #memory: Buffer | null
  readonly #length: number
  /** Where the offers of each group begin and end. */
  readonly #edges: readonly number[]
  /** Where memory of calls waits for the next ones. */
  readonly #free: Buffer[]

  constructor(memory: Buffer, length: number, edges: readonly number[], free: Buffer[]) {
    this.#memory = memory
    this.#length = length
    this.#edges = edges
    this.#free = free
  }

  /** What goes to Redis. */
  get bytes(): Buffer {
    return this.#held().subarray(0, this.#length)
  }

  bytesOf(index: number): number {
    return (this.#edges[2 * index + 1] as number) - (this.#edges[2 * index] as number)
  }

  copy(index: number, memory: Buffer, at: number): void {
    this.#held().copy(memory, at, this.#edges[2 * index] as number, this.#edges[2 * index + 1] as number)
  }

  /**
   * To be called after Redis answered, so that nothing of it waits to be sent any more. Of a call that failed nobody knows that:
   * it is never given to anyone who could release it, and stays as it is.
   */
  release(): void {
    const memory = this.#memory
    this.#memory = null
    if (memory === null || memory.length < CALL_BYTES || memory.length > FREE_BYTES_MAX) return
    if (this.#free.length < FREE_COUNT_MAX) this.#free.push(memory)
  }

  #held(): Buffer {
    assert(this.#memory !== null, 'the call was released: another one stands where it stood')
    return this.#memory
  }
}

const offerReader: OfferReader = {
  read(memory, at, count, channel) {
    const bulks = new BulkReader(memory, at)
    const offers: Offer[] = []
    for (let left = count; left > 0; left--) offers.push(offerFrom(channel, bulks.take(FIELDS_AN_OFFER)))
    return offers
  },
}

function offerFrom(channel: Channel, fields: readonly string[]): Offer {
  const [flags, id, first, venueTime, receivedTime, source, trace, data] = fields as Fields
  const letter = flags.slice(0, 1)
  return {
    kind: kindOfLetter[letter] ?? (plainKinds[channel] as Offer['kind']),
    id,
    first,
    venueTimeUs: venueTime === '' ? null : Number(venueTime),
    receivedTimeUs: Number(receivedTime),
    source,
    trace,
    declare: flags.slice(2) as Offer['declare'],
    refresh: letter === 'R',
    data,
  }
}

/** Arguments as they stand in a command, a letter for a byte. */
export function bulksOf(texts: readonly string[]): string {
  return Buffer.from(texts.map((text) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`).join('')).toString('latin1')
}

function flagsOf(offer: Offer): string {
  const { kind, declare } = offer
  const letter =
    kind === 'SNAPSHOT' ? (offer.refresh ? 'R' : 'S') : kind === 'GIVEUP' ? 'G' : kind === 'LOST' ? 'L' : ''
  if (declare === '') return letter
  return `${letter === '' ? 'N' : letter}:${declare}`
}
