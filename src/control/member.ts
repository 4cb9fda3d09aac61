import { randomUUID } from 'node:crypto'
import { backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import { metrics } from '../telemetry/metrics.ts'
import { Applier } from './applier.ts'
import type { ControlFilter, ControlledChannel } from './contract.ts'
import type { ControlEntry } from './decode.ts'
import type { Seed } from './seed.ts'
import type { ControlStore, ControlWorld, TableChange } from './store.ts'
import { type Change, TableData } from './table-data.ts'

export interface ControlIncident {
  readonly kind:
    | 'table-seeded'
    | 'table-restored'
    | 'table-replaced'
    | 'table-gone'
    | 'control-unreachable'
    | 'control-back'
    | 'command-failed'
  readonly severity: 'info' | 'warning'
  readonly message: string
  readonly error?: unknown
}

export interface ControlMemberParts {
  readonly store: ControlStore
  readonly world: ControlWorld
  /** Name in the consumer group: the worker's. */
  readonly name: string
  readonly clock: Clock
  /** What the configuration makes of a keyspace that has no table. */
  seed(version: number, nowUs: number): Seed
  checkFilters(type: ControlledChannel, filters: readonly ControlFilter[]): string | null
  /** The table went on; `changes` null: it is another one, or too much was missed. Never waits. */
  changed(table: TableData, changes: readonly Change[] | null): void
  tell(incident: ControlIncident): void
}

/** Longest wait inside the store, ms; also the period in which the table is looked for. */
const BLOCK_MS = 500
/** What a member took and did not end within this time is taken over by another one, ms. */
const CLAIM_IDLE_MS = 500
/** How long the applier waits for the follower to bring a change that others made, before it reads the whole table, ms. */
const CATCH_UP_MS = 100
const RETRY = { baseMs: 50, maxMs: 2_000 }

/**
 * This process's part in the control plane: holds a copy of the table, follows it, and applies commands as a member of the
 * consumer group. While the store cannot be reached everything stays as it is; when the table is gone, a copy is written
 * back, and only where nobody holds one the configuration seeds it.
 */
export class ControlMember {
  readonly #parts: ControlMemberParts
  readonly #applier: Applier
  #table: TableData | null = null
  /** Version up to which `changed` was called. */
  #told = { version: -1, lineage: '' }
  /** Resolved when the copy goes on. */
  #advanced = Promise.withResolvers<void>()
  #unreachable = false
  #claimedMs = 0
  #closed = false
  #loops: Promise<unknown> = Promise.resolve()
  readonly #closing = Promise.withResolvers<void>()

  constructor(parts: ControlMemberParts) {
    this.#parts = parts
    const { store, world, clock, checkFilters } = parts
    this.#applier = new Applier({
      ...{ store, world, checkFilters },
      nowUs: () => clock.nowUs(),
      table: (fresh) => this.#current(fresh),
      restore: () => this.#restore(),
      wait: (ms) => this.#wait(ms),
      applied: ({ answer, changes }) => {
        metrics.controlCommands.inc({ status: answer.status })
        if (this.#table !== null && changes.length > 0) this.#tellChanged(changes)
      },
    })
  }

  /** Finds or makes the table; from then on follows and applies. Waits for the store however long it takes, unless closed. */
  async start(): Promise<void> {
    for (let attempt = 0; !this.#closed; attempt++) {
      try {
        if ((await this.#read()) === null) await this.#restore()
        if (this.#table !== null) break
      } catch (error) {
        await this.#failed(error, attempt)
      }
    }
    this.#reached()
    this.#loops = Promise.all([this.#repeat(() => this.#followOnce()), this.#repeat(() => this.#applyOnce())])
  }

  /** null before `start` has found one. */
  get table(): TableData | null {
    return this.#table
  }

  /** Applies and follows nothing any more. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#closing.resolve()
    try {
      await this.#parts.store.leave(this.#parts.name)
    } catch {
      // The group forgets it when it has been idle for long; another member claims what it held.
      metrics.controlFailures.inc()
    }
  }

  /** Resolves when both loops have ended; their last reads end with the connections they wait on. */
  get ended(): Promise<unknown> {
    return this.#loops
  }

  async #repeat(once: () => Promise<void>): Promise<void> {
    for (let attempt = 0; !this.#closed; ) {
      try {
        await once()
        attempt = 0
        this.#reached()
      } catch (error) {
        if (this.#closed) return
        await this.#failed(error, attempt++)
      }
    }
  }

  async #followOnce(): Promise<void> {
    const found = await this.#parts.store.follow(BLOCK_MS)
    if (this.#closed) return
    if (found.length === 0) await this.#look()
    for (const change of found) {
      if (this.#follow(change)) continue
      await this.#look()
      // Written anew: what was kept beside it may be gone, too.
      if (change.changes.length === 0) this.#tellChanged(null)
      return
    }
  }

  /** False where the copy cannot go on from here. */
  #follow({ version, lineage, madeBy, changes }: TableChange): boolean {
    const table = this.#table
    if (table === null || table.lineage !== lineage) return false
    if (version <= table.version) return changes.length > 0
    if (version !== table.version + 1 || changes.length === 0) return false
    table.apply(changes)
    table.version = version
    table.madeBy = madeBy
    this.#tellChanged(changes)
    return true
  }

  /** Is the table still there, and is it the one we hold? Takes what stands there, or puts what we hold in its place. */
  async #look(): Promise<void> {
    const head = await this.#parts.store.head()
    const table = this.#table
    if (table === null || head === null) return this.#restore()
    const { lineage, version, madeBy } = head
    if (lineage === table.lineage && version === table.version && madeBy === table.madeBy) return
    const isWorthLess = lineage === table.lineage ? version < table.version : head.settling && head.origin === 'seed'
    if (isWorthLess || (await this.#read()) === null) await this.#restore()
  }

  async #applyOnce(): Promise<void> {
    const { store, name, clock } = this.#parts
    const nowMs = clock.monotonicMs()
    if (nowMs - this.#claimedMs >= CLAIM_IDLE_MS) {
      this.#claimedMs = nowMs
      await this.#applyAll(await store.claim(name, CLAIM_IDLE_MS))
    }
    await this.#applyAll(await store.take(name, BLOCK_MS))
  }

  async #applyAll(entries: readonly ControlEntry[]): Promise<void> {
    for (const entry of entries) {
      if (this.#closed) return
      if (await this.#applier.apply(entry)) continue
      const message = `the command at ${entry.id} could not be applied now; it is tried again`
      this.#parts.tell({ kind: 'command-failed', severity: 'warning', message })
    }
  }

  async #current(fresh: boolean): Promise<TableData | null> {
    const table = this.#table
    if (table === null) return this.#read()
    if (!fresh) return table
    const { version, lineage } = table
    await Promise.race([this.#advanced.promise, this.#wait(CATCH_UP_MS)])
    const now = this.#table
    if (now === null || now.version !== version || now.lineage !== lineage) return now
    await this.#look()
    return this.#table
  }

  async #read(): Promise<TableData | null> {
    const read = await this.#parts.store.read()
    if (read === null) return null
    const before = this.#table
    if (before !== null && before.lineage === read.lineage && before.version > read.version) {
      // A fail-over went back behind what was applied; the next look sees to it if this one comes too late.
      await this.#parts.store.restore(before, 'copy')
      return before
    }
    this.#table = read
    if (before !== null && before.lineage !== read.lineage) {
      const message = `another dispatch table is in force, version ${read.version} instead of ${before.version}`
      this.#parts.tell({ kind: 'table-replaced', severity: 'warning', message })
    }
    this.#tellChanged(null)
    return read
  }

  /** Writes back what this process holds, or seeds; whatever came of it, the table that stands is the one in force. */
  async #restore(): Promise<void> {
    const { store, clock, tell } = this.#parts
    const copy = this.#table
    if (copy !== null) {
      if ((await store.restore(copy, 'copy')) === 'written') {
        const message = `the dispatch table was gone or older, version ${copy.version} was written back from here`
        tell({ kind: 'table-restored', severity: 'warning', message })
        return
      }
    } else {
      const nowUs = clock.nowUs()
      // Streams may remember versions of a table that nobody holds any more; the new one has to stand above them.
      const wasUsed = await store.isUsed()
      const version = wasUsed ? Math.floor(nowUs / 1_000_000) : 1
      const { routes, subscriptions } = this.#parts.seed(version, nowUs)
      const table = new TableData(
        { version, lineage: randomUUID(), madeBy: '0-0' },
        {
          routes: routes.map((route) => [route.routeId, route]),
          subscriptions: subscriptions.map((one) => [one.subscriptionId, one]),
          ...{ paused: [], channels: [], marks: [] },
        },
      )
      if ((await store.restore(table, 'seed')) === 'written') {
        const message = `the dispatch table was seeded from the configuration, version ${version}`
        tell({ kind: 'table-seeded', severity: wasUsed ? 'warning' : 'info', message })
      }
    }
    await this.#read()
  }

  #tellChanged(changes: readonly Change[] | null): void {
    const table = this.#table
    if (table === null) return
    if (changes !== null && this.#told.lineage === table.lineage && this.#told.version === table.version) return
    this.#told = { version: table.version, lineage: table.lineage }
    metrics.controlTableVersion.set(table.version)
    this.#advanced.resolve()
    this.#advanced = Promise.withResolvers<void>()
    this.#parts.changed(table, changes)
  }

  async #failed(error: unknown, attempt: number): Promise<void> {
    metrics.controlFailures.inc()
    if (!this.#unreachable && attempt > 0) {
      this.#unreachable = true
      const message = 'the control plane cannot be reached; what flows goes on, commands wait'
      this.#parts.tell({ kind: 'control-unreachable', severity: 'warning', message, error })
    }
    await this.#wait(backoffMs(attempt, RETRY, Math.random))
  }

  #reached(): void {
    if (!this.#unreachable) return
    this.#unreachable = false
    this.#parts.tell({ kind: 'control-back', severity: 'info', message: 'the control plane can be reached again' })
  }

  async #wait(ms: number): Promise<void> {
    const { clock } = this.#parts
    let cancel = (): void => {}
    await Promise.race([
      this.#closing.promise,
      new Promise<void>((resolve) => {
        cancel = clock.after(ms, resolve)
      }),
    ])
    cancel()
  }
}
