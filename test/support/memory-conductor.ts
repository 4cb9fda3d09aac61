import type { Commit, CommitLog, CommitOutcome, Loaded } from '../../src/conductor/commit-log.ts'
import { parseSnapshotFields } from '../../src/conductor/memory-snapshot-store.ts'
import type { BookName, SnapshotHead } from '../../src/conductor/snapshot-store.ts'
import type { RawEntry, SourceName, SourcePlace, SourceStreams } from '../../src/conductor/source-streams.ts'
import { type FusedChannel, FusedChannels } from '../../src/domain/fusion/fusion.ts'

/** A call that fails: before it did anything, or when everything was done and only the answer is missing. */
export type Fault = 'before' | 'after'

export interface FusedEntry {
  readonly seq: number
  readonly version: number
  readonly quality: string
  readonly data: string
}

/**
 * What the conductor of one instrument sees of Redis, in memory, with the faults that Redis may have: calls that fail before
 * or after they did their work, a record that expires or cannot be used, entries that are trimmed, another Redis process.
 */
export class MemoryRedis implements SourceStreams, CommitLog {
  readonly name: BookName
  readonly streams: Record<FusedChannel, RawEntry[]> = { ORDERBOOK: [], TRADE: [], QUOTE: [] }
  readonly fused: FusedEntry[] = []
  record: { head: SnapshotHead; version: number; fields: Map<string, string> } | null = null
  recordUnavailable = false
  run = 'one'
  /** Faults of the next calls, one each. */
  readonly faults: Fault[] = []
  readonly #seq: Record<FusedChannel, number> = { ORDERBOOK: 0, TRADE: 0, QUOTE: 0 }
  #version = 0
  #carried = ''
  #epoch = 1
  #id = 0

  constructor(name: BookName) {
    this.name = name
  }

  append(channel: FusedChannel, type: string, data: object): void {
    const seq = String(++this.#seq[channel])
    const fields = ['v', '1', 'type', type, 'market', '', 'instrument', '', 'epoch', String(this.#epoch), 'seq', seq]
    const quality = type === 'ORDERBOOK.GAP' ? 'GAPPED' : ''
    fields.push(
      'key',
      '',
      'venueSeq',
      '',
      'venueTime',
      '',
      'receivedTime',
      '1',
      'source',
      '',
      'trace',
      'a',
      'quality',
      quality,
    )
    fields.push('data', JSON.stringify(data))
    this.streams[channel].push([`${++this.#id}-0`, fields.map((text) => Buffer.from(text))])
  }

  /** Something that is no entry of ours. */
  spoilStream(channel: FusedChannel): void {
    this.streams[channel].push([`${++this.#id}-0`, [Buffer.from('no'), Buffer.from('entry')]])
  }

  /** Retention takes all but the newest entries. */
  trim(channel: FusedChannel, kept: number): void {
    const stream = this.streams[channel]
    stream.splice(0, Math.max(0, stream.length - kept))
  }

  beginEpoch(): void {
    this.#epoch++
  }

  async list(): Promise<Map<number, SourceName[]>> {
    return new Map([[0, FusedChannels.map((channel) => ({ ...this.name, channel }))]])
  }

  async hear(): Promise<Map<number, null>> {
    return new Map()
  }

  read(places: readonly SourcePlace[], countMax: number) {
    return this.#call(() =>
      places.map(({ name, afterId }) =>
        this.streams[name.channel].filter(([id]) => numberOf(id) > numberOf(afterId)).slice(0, countMax),
      ),
    )
  }

  newest(names: readonly SourceName[]) {
    return this.#call(() => names.map(({ channel }) => this.streams[channel].at(-1) ?? null))
  }

  forward(name: SourceName, fromId: string, toId: string, countMax: number) {
    const from = fromId.startsWith('(') ? numberOf(fromId.slice(1)) + 1 : numberOf(fromId)
    const within = ([id]: RawEntry) => numberOf(id) >= from && numberOf(id) <= numberOf(toId)
    return this.#call(() => this.streams[name.channel].filter(within).slice(0, countMax))
  }

  backward(name: SourceName, fromId: string, countMax: number) {
    const from = fromId.startsWith('(') ? numberOf(fromId.slice(1)) - 1 : numberOf(fromId)
    return this.#call(() =>
      this.streams[name.channel]
        .filter(([id]) => numberOf(id) <= from)
        .reverse()
        .slice(0, countMax),
    )
  }

  async moveGroups(): Promise<void> {}

  load(names: readonly BookName[]) {
    return this.#call(() => ({ run: this.run, instruments: names.map(() => this.#loaded()) }))
  }

  commit(run: string, commits: readonly Commit[]) {
    return this.#call(() => commits.map((commit) => this.#commit(run, commit)))
  }

  qualities(names: readonly BookName[]) {
    return this.#call(() => names.map(() => null))
  }

  renew(names: readonly BookName[]) {
    return this.#call(() => names.map(() => this.record !== null))
  }

  #loaded(): Loaded {
    const { record } = this
    const common = { version: this.#version, carried: this.#carried }
    if (this.recordUnavailable) return { ...common, record: { state: 'unavailable', reason: 'spoilt' } }
    if (record === null) return { ...common, record: { state: 'absent' } }
    return { ...common, record: { state: 'there', snapshot: parseSnapshotFields(record) } }
  }

  #commit(run: string, { version, versionFloor, base, change, carried, event }: Commit): CommitOutcome {
    if (run !== this.run || version !== this.#version) return { outcome: 'conflict' }
    if (base !== 'skip') {
      if (this.recordUnavailable) return { outcome: 'record-unavailable', error: 'spoilt' }
      const there = this.record
      if (base !== 'replace') {
        const fits = there !== null && there.version === version && there.head.epoch === base.epoch
        if (!fits || there.head.streamId !== base.streamId) return { outcome: 'conflict' }
      }
    }
    this.#version = Math.max(version, versionFloor) + 1
    this.#carried = carried
    if (base !== 'skip') {
      const fields = new Map(base === 'replace' ? [] : this.record?.fields)
      for (const field of change.removed) fields.delete(field)
      for (let at = 0; at + 1 < change.set.length; at += 2)
        fields.set(change.set[at] as string, change.set[at + 1] as string)
      this.record = { head: change.head, version: this.#version, fields }
    }
    const seq = this.fused.length + 1
    this.fused.push({ seq, version: this.#version, quality: event.quality, data: event.data })
    return { outcome: 'committed', version: this.#version, epoch: '1', seq: String(seq) }
  }

  async #call<Answer>(work: () => Answer): Promise<Answer> {
    const fault = this.faults.shift()
    if (fault === 'before') throw new Error('the call did nothing')
    const answer = work()
    if (fault === 'after') throw new Error('the answer got lost')
    return answer
  }
}

const numberOf = (id: string): number => Number.parseInt(id, 10)
