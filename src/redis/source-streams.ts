import type { RawEntry, SourceName, SourcePlace, SourceStreams } from '../conductor/source-streams.ts'
import { FusedChannels } from '../domain/fusion/fusion.ts'
import { readCatalog } from './catalog.ts'
import type { RedisConnection } from './connection.ts'
import { BusError } from './errors.ts'
import { Keys, type StreamName } from './keys.ts'
import { StreamReader } from './stream-reader.ts'

const GROUP = 'conductor'
const GROUPS_AT_ONCE_MAX = 200

type BytesEntry = [id: Buffer, fields: Buffer[]]

const fused = new Set<string>(FusedChannels)

/** The conductor's sources in Redis. */
export class RedisSourceStreams implements SourceStreams {
  readonly #connection: RedisConnection
  readonly #bellReader: StreamReader
  readonly #places: StreamReader
  readonly #keys: Keys
  /** By partition: the last entry of its bell that was heard. */
  readonly #heard = new Map<number, string>()
  readonly #groups = new Set<string>()

  /** `waiting` is a connection of kind `blocking` that nothing else uses. */
  constructor(connection: RedisConnection, waiting: RedisConnection, keys: Keys) {
    this.#connection = connection
    this.#bellReader = new StreamReader(waiting)
    this.#places = new StreamReader(connection)
    this.#keys = keys
  }

  async list(partitions: ReadonlySet<number>): Promise<Map<number, SourceName[]>> {
    const sources = (await readCatalog(this.#connection, this.#keys)).filter(isSource)
    const listed = Map.groupBy(sources, ({ market, instrument }) => this.#keys.partition(market, instrument))
    for (const partition of listed.keys()) if (!partitions.has(partition)) listed.delete(partition)
    return listed
  }

  async hear(partitions: ReadonlySet<number>, blockMs: number): Promise<Map<number, readonly SourceName[] | null>> {
    const heard = new Map<number, SourceName[] | null>()
    for (const partition of this.#heard.keys()) if (!partitions.has(partition)) this.#heard.delete(partition)
    for (const partition of partitions) {
      if (this.#heard.has(partition)) continue
      // What stands before this entry is read as a whole, what comes after it is heard.
      const last = await this.#places.last(this.#keys.bell(partition))
      this.#heard.set(partition, last?.id ?? '0-0')
      heard.set(partition, null)
    }
    if (heard.size > 0) return heard
    const partitionOfBell = new Map([...partitions].map((partition) => [this.#keys.bell(partition), partition]))
    const cursors = new Map(
      [...partitionOfBell].map(([bell, partition]) => [bell, this.#heard.get(partition) ?? '0-0']),
    )
    try {
      for (const { stream, id, fields } of await this.#bellReader.follow(cursors, blockMs)) {
        const partition = partitionOfBell.get(stream) as number
        this.#heard.set(partition, id)
        const names = heard.get(partition) ?? []
        heard.set(partition, names)
        for (const text of (fields.streams ?? '').split(' ')) {
          const name = Keys.parseCatalogField(text)
          if (name !== null && isSource(name)) names.push(name)
        }
      }
    } catch (error) {
      // Another Redis may answer next, whose bells are younger.
      this.#heard.clear()
      throw error
    }
    return heard
  }

  async read(places: readonly SourcePlace[], countMax: number): Promise<(readonly RawEntry[])[]> {
    if (places.length === 0) return []
    const keys = places.map(({ name }) => this.#keyOf(name))
    const ids = places.map(({ afterId }) => afterId)
    const reply = await this.#connection.sendForBytes('xread', ['COUNT', countMax, 'STREAMS', ...keys, ...ids])
    if (reply === null) return places.map(() => [])
    const found = new Map((reply as [Buffer, BytesEntry[]][]).map(([key, entries]) => [key.toString(), entries]))
    return keys.map((key) => found.get(key)?.map(rawEntryOf) ?? [])
  }

  async newest(names: readonly SourceName[]): Promise<(RawEntry | null)[]> {
    const pages = await Promise.all(names.map((name) => this.backward(name, '+', 1)))
    return pages.map(([entry]) => entry ?? null)
  }

  async forward(name: SourceName, fromId: string, toId: string, countMax: number): Promise<readonly RawEntry[]> {
    return this.#range('xrange', [this.#keyOf(name), fromId, toId, 'COUNT', countMax])
  }

  async backward(name: SourceName, fromId: string, countMax: number): Promise<readonly RawEntry[]> {
    return this.#range('xrevrange', [this.#keyOf(name), fromId, '-', 'COUNT', countMax])
  }

  async #range(command: string, args: (string | number)[]): Promise<readonly RawEntry[]> {
    return ((await this.#connection.sendForBytes(command, args)) as BytesEntry[]).map(rawEntryOf)
  }

  async moveGroups(places: readonly SourcePlace[]): Promise<void> {
    for (let start = 0; start < places.length; start += GROUPS_AT_ONCE_MAX) {
      await Promise.all(places.slice(start, start + GROUPS_AT_ONCE_MAX).map((place) => this.#moveGroup(place)))
    }
  }

  async #moveGroup({ name, afterId }: SourcePlace): Promise<void> {
    const key = this.#keyOf(name)
    const subcommand = this.#groups.has(key) ? 'SETID' : 'CREATE'
    try {
      await this.#connection.send('xgroup', [subcommand, key, GROUP, afterId])
      this.#groups.add(key)
    } catch (error) {
      if (!(error instanceof BusError) || error.code !== 'other') throw error
      // It was there already, or it went with its stream: the next time the other command will do.
      if (subcommand === 'CREATE') this.#groups.add(key)
      else this.#groups.delete(key)
    }
  }

  #keyOf({ market, instrument, channel }: SourceName): string {
    return this.#keys.stream(market, instrument, channel)
  }
}

function isSource<Name extends StreamName>(name: Name): name is Name & SourceName {
  return fused.has(name.channel)
}

function rawEntryOf([id, fields]: BytesEntry): RawEntry {
  return [id.toString(), fields]
}
