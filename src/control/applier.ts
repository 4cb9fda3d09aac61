import { type Answer, AnswerCode, type ControlFilter, type ControlledChannel } from './contract.ts'
import { type ControlEntry, decodeCommand, namesOf } from './decode.ts'
import { type Effect, type StepFacts, type StepResult, step } from './step.ts'
import type { ControlStore, ControlWorld, Verdict } from './store.ts'
import type { TableData } from './table-data.ts'

export interface ApplierParts {
  readonly store: ControlStore
  readonly world: ControlWorld
  nowUs(): number
  checkFilters(type: ControlledChannel, filters: readonly ControlFilter[]): string | null
  /** The table as this process holds it, read anew if `fresh`; null: there is none. */
  table(fresh: boolean): Promise<TableData | null>
  /** There is no table: writes one, or waits until somebody has. */
  restore(): Promise<void>
  wait(ms: number): Promise<void>
  /** A command was applied or refused by this process; the table is at `version` now. */
  applied(verdict: Verdict): void
}

const NO_EFFECT: Effect = { kind: 'none', market: '', instrument: '', types: [], worker: '' }
/** What another member holds is left to it for so long, so that members do not all work on the same entry. */
const HOLDER_MS = 5
/** Tries to apply one entry before it is left to the next who looks; each found the table changed, settling or gone. */
const TRIES_MAX = 200

/**
 * Applies an entry of the control stream, and before it those that come first.
 *
 * 1. Decide what the command makes of the table as this process holds it.
 * 2. Offer that to the script, which takes it only if the entry is the next one and the table is still that one.
 * 3. `next`: apply that one first. `stale`: read the table, decide again. Else it is done.
 */
export class Applier {
  readonly #parts: ApplierParts

  constructor(parts: ApplierParts) {
    this.#parts = parts
  }

  /** Answers whether the entry is behind us; false: another try is needed later. Throws where the store does. */
  async apply(entry: ControlEntry): Promise<boolean> {
    const { store, restore, wait } = this.#parts
    let current = entry
    let fresh = false
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const table = await this.#parts.table(fresh)
      fresh = false
      if (table === null) {
        await restore()
        continue
      }
      const { version, lineage } = table
      const verdict = await this.#decide(table, current)
      const result = await store.apply(current, { version, lineage }, verdict)
      switch (result.status) {
        case 'next':
          // Whoever holds it is most likely about to apply it; only where nobody does is it for us.
          await wait(HOLDER_MS)
          current = result.entry
          continue
        case 'stale':
          fresh = true
          continue
        case 'gone':
          await restore()
          fresh = true
          continue
        case 'settling':
          await wait(result.leftMs)
          fresh = true
          continue
        case 'applied':
          await this.#applied(table, verdict, { version, lineage })
          break
        case 'repeated':
        case 'done':
          break
      }
      if (current.id === entry.id) return true
      current = entry
    }
    return false
  }

  async #applied(table: TableData, verdict: Verdict, made: { version: number; lineage: string }): Promise<void> {
    const { answer, changes } = verdict
    // The change may have come by the other way already.
    if (table.version === made.version && table.lineage === made.lineage && changes.length > 0) {
      table.apply(changes)
      table.version = made.version + 1
      table.madeBy = answer.entryId
    }
    this.#parts.applied(verdict)
    await this.#parts.store.closeChannels(changes)
  }

  async #decide(table: TableData, entry: ControlEntry): Promise<Verdict> {
    const decoded = decodeCommand(entry)
    const nowUs = this.#parts.nowUs()
    const common = { ...namesOf(entry), entryId: entry.id, effectiveAtUs: null, appliedAtUs: nowUs }
    if (decoded.kind === 'malformed') {
      const { commandId, detail } = decoded
      const code = AnswerCode.Malformed
      return {
        answer: {
          ...{ ...common, commandId, status: 'failed', code, message: detail, before: null, after: null },
          ...{ version: table.version, issuedAtUs: null },
        },
        ...{ effect: NO_EFFECT, changes: [], deadReason: `${code}: ${detail}` },
      }
    }
    const { command } = decoded
    const result: StepResult = step(table, command, await this.#facts(table, command, nowUs))
    const isChanged = result.kind === 'changed'
    const answer: Answer = {
      ...common,
      ...{ commandId: command.id, type: command.type, issuer: command.issuer, consumer: command.consumer },
      ...{ trace: command.trace, status: isChanged ? 'applied' : 'failed', code: isChanged ? null : result.code },
      ...{ message: result.message, before: isChanged ? result.before : null, after: isChanged ? result.after : null },
      ...{ version: isChanged ? table.version + 1 : table.version, issuedAtUs: command.issuedAtUs },
    }
    const effect = isChanged ? result.effect : NO_EFFECT
    return { answer, effect, changes: isChanged ? result.changes : [], deadReason: null }
  }

  async #facts(
    table: TableData,
    { type, payload }: { readonly type: string; readonly payload: object },
    nowUs: number,
  ): Promise<StepFacts> {
    const { world, checkFilters } = this.#parts
    const named = payload as { market?: string; instrument?: string; subscriptionId?: string }
    const isNaming = type === 'subscribe' || type === 'pause' || type === 'resync'
    const left = type === 'unsubscribe' ? table.subscriptions.get(named.subscriptionId ?? '') : undefined
    const pattern = left?.instrument.includes('*') ? left : undefined
    const [instrumentListed, instruments, workers] = await Promise.all([
      isNaming ? world.isListed(named.market ?? '', named.instrument ?? '') : null,
      pattern === undefined ? [] : world.instrumentsOf(pattern.market, pattern.type, pattern.instrument),
      type === 'drain' ? world.workers() : [],
    ])
    return { nowUs, instrumentListed, instruments, workers, checkFilters }
  }
}
