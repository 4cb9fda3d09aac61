import { Channel } from '../domain/event.ts'
import { asInstrument, asMarket, type Instrument, type Market, partitionOf } from '../domain/instrument.ts'

/** Which channel of which instrument a stream holds. */
export interface StreamName {
  readonly market: Market
  readonly instrument: Instrument
  readonly channel: Channel
}

const channels = new Set<string>(Object.values(Channel))

/**
 * Every key of a keyspace, built here and nowhere else (DESIGN 4). The part in braces is the hash tag of Redis Cluster:
 * all keys of a partition live on one slot.
 */
export class Keys {
  readonly prefix: string
  readonly partitions: number

  /** `prefix` for example `meltica`; `partitions` is fixed for the life of the keyspace. */
  constructor(prefix: string, partitions: number) {
    this.prefix = prefix
    this.partitions = partitions
  }

  partition(market: Market, instrument: Instrument): number {
    return partitionOf(market, instrument, this.partitions)
  }

  stream(market: Market, instrument: Instrument, channel: Channel): string {
    return `${this.#of(market, instrument)}:${channel}`
  }

  /** The gap ledger of one channel. */
  gaps(market: Market, instrument: Instrument, channel: Channel): string {
    return `${this.#of(market, instrument)}:${channel}:gaps`
  }

  /** The snapshot record of a book. */
  book(market: Market, instrument: Instrument): string {
    return `${this.#of(market, instrument)}:book`
  }

  instrument(market: Market, instrument: Instrument): string {
    return `${this.#of(market, instrument)}:instrument`
  }

  /** Private: what the scripts remember of an instrument. */
  state(market: Market, instrument: Instrument): string {
    return `${this.#of(market, instrument)}:state`
  }

  /** Private: what workers say of an instrument's native topics. */
  topicReports(market: Market, instrument: Instrument): string {
    return `${this.#of(market, instrument)}:topics`
  }

  /** Private: the dispatch table, its parts, and the streams of the control plane, all on one slot. */
  control(name: string): string {
    return `${this.prefix}:{control}:${name}`
  }

  bell(partition: number): string {
    return `${this.prefix}:{${partition}}:bell`
  }

  get catalog(): string {
    return `${this.prefix}:catalog`
  }

  get meta(): string {
    return `${this.prefix}:meta`
  }

  /** Private: who is alive in a role. */
  members(role: string): string {
    return `${this.prefix}:{cluster}:${role}:members`
  }

  /** Private: inputs that could not be admitted or mapped. */
  get deadLetters(): string {
    return `${this.prefix}:{ops}:dead-letters`
  }

  /** Private: what operators should know. */
  get ops(): string {
    return `${this.prefix}:{ops}:events`
  }

  /** Private: what a venue allows to one address, `egress`, and what was spent of it. */
  limit(venue: string, egress: string): string {
    return `${this.prefix}:{limit:${venue}:${egress}}`
  }

  /** Private: every egress that asks a venue, `VENUE EGRESS` -> when it was last named, us. */
  get egresses(): string {
    return `${this.prefix}:egresses`
  }

  /** Private: the queue of polls and what stands beside it. */
  queue(name: string): string {
    return `${this.prefix}:{bull}:${name}`
  }

  /** The field of a stream in the catalog, also its name in a bell entry: `MARKET:INSTRUMENT:CHANNEL`. */
  static catalogField(name: StreamName): string {
    return `${name.market}:${name.instrument}:${name.channel}`
  }

  /** Reads `MARKET:INSTRUMENT:CHANNEL`; null if it is not one. An instrument may hold a colon, a market and a channel never. */
  static parseCatalogField(field: string): StreamName | null {
    const first = field.indexOf(':')
    const last = field.lastIndexOf(':')
    const channel = field.slice(last + 1)
    if (first <= 0 || last <= first + 1 || !channels.has(channel)) return null
    return {
      market: asMarket(field.slice(0, first)),
      instrument: asInstrument(field.slice(first + 1, last)),
      channel: channel as Channel,
    }
  }

  /** Which stream a key is, null if it is not a stream of this keyspace. */
  parseStream(key: string): StreamName | null {
    const head = `${this.prefix}:{`
    const tagEnd = key.indexOf('}:', head.length)
    if (!key.startsWith(head) || tagEnd === -1) return null
    const name = Keys.parseCatalogField(key.slice(tagEnd + 2))
    return name && this.stream(name.market, name.instrument, name.channel) === key ? name : null
  }

  #of(market: Market, instrument: Instrument): string {
    return `${this.prefix}:{${partitionOf(market, instrument, this.partitions)}}:${market}:${instrument}`
  }
}
