import type { QualityLog } from '../bus/book-quality.ts'
import type { ProofOddities } from '../domain/book/proof.ts'
import type { Grid } from '../domain/book/shadow-book.ts'
import type { Instrument } from '../domain/instrument.ts'
import { isDoubt, isSameWord, type Mismatch, type ShownQuality } from '../domain/quality.ts'
import type { Clock } from '../lib/clock.ts'
import { Allowance } from './allowance.ts'
import { BookGuard } from './book-guard.ts'
import type { BookLimits, GuardOwner, ResyncReason } from './guard-parts.ts'
import type { LineKey } from './line.ts'
import type { DispatcherIncident } from './options.ts'
import { QualityReads } from './quality-reads.ts'
import { QualityReports } from './quality-reports.ts'

/** A verdict that waits is ended not much later than its 50 ms. */
const VERDICTS_SWEEP_MS = 25
const SWEEP_MS = 1_000
/** What another process says of a book that is kept here is looked at so often. */
const LOOK_MS = 10_000

export interface BookGuardsOptions {
  readonly limits: BookLimits
  readonly clock: Clock
  want(key: LineKey, tooOld: boolean): void
  ready(key: LineKey): void
  trace(): string
  tell(incident: DispatcherIncident): void
  /** Whether another live process keeps this book too. */
  covered(instrument: Instrument): boolean
  readonly log: QualityLog | null
}

/** What the guards found, in plain numbers. */
export interface BookStats {
  /** Verdicts on deltas: right, wrong, doubtful (a ticker went missing), unchecked (no ticker to judge by). */
  readonly checks: Readonly<Record<'right' | 'wrong' | 'doubtful' | 'unchecked', number>>
  readonly mismatches: Readonly<Partial<Record<Mismatch, number>>>
  /** Snapshots wanted, by reason; asking again for the same is not counted. */
  readonly resyncs: Readonly<Partial<Record<ResyncReason, number>>>
  /** What a venue hardly tells, by kind; each is looked into, and none is a verdict. */
  readonly oddities: ProofOddities
  readonly quarantines: number
  /** Joined books of which nothing can be proved until a snapshot comes. */
  readonly blind: number
  /** How many books show each word. */
  readonly qualities: Readonly<Record<string, number>>
  /** Memory of the second books that prove the first. */
  readonly proofBytes: number
  /** What went beyond a bound: proofs that went blind, deltas to bring snapshots up to date, wishes for a snapshot. */
  readonly beyond: Readonly<Record<'proofOverflows' | 'recordedDropped' | 'resyncsUnanswered', number>>
}

/** The guards of all books: their sweeps, the pace of what can wait, and what they have to tell. */
export class BookGuards implements GuardOwner {
  readonly #options: BookGuardsOptions
  readonly #guards = new Map<Instrument, BookGuard>()
  readonly #withVerdicts = new Set<BookGuard>()
  #verdictsScheduled = false
  readonly #mismatches: Partial<Record<Mismatch, number>> = {}
  readonly #resyncs: Partial<Record<ResyncReason, number>> = {}
  readonly #reports: QualityReports | null
  readonly #reads: QualityReads | null
  /** Guards whose word is read, with what they showed when it was asked for. */
  readonly #reading = new Map<Instrument, ShownQuality>()
  /** The words that were given away to be written. */
  readonly #said = new Map<Instrument, ShownQuality>()
  /** Guards whose better word waits until it is known that it covers nobody's doubt. */
  readonly #untold = new Set<BookGuard>()
  #lookedMs: number
  /** Guards that have had something to say. */
  readonly #told = new Set<BookGuard>()
  readonly #grids = new Map<Instrument, Grid>()
  /** Instruments whose books are kept here; null: all, for nobody has said otherwise. */
  #held: ReadonlySet<Instrument> | null = null
  #quarantines = 0
  /** Requests that can wait are paid from these, those without which nothing is proved from the greater one. */
  readonly #forRefreshes: Allowance
  readonly #forBlind: Allowance
  #cancelSweep: () => void = () => {}
  #cancelVerdicts: () => void = () => {}
  #closed = false

  constructor(options: BookGuardsOptions) {
    this.#options = options
    const { log, clock, limits } = options
    this.#forRefreshes = new Allowance(() => limits.refreshesPerMinuteMax, clock.monotonicMs())
    this.#forBlind = new Allowance(() => limits.blindPerMinuteMax, clock.monotonicMs())
    this.#lookedMs = clock.monotonicMs()
    this.#reports = log === null ? null : new QualityReports(log, clock)
    this.#reads = log === null ? null : new QualityReads(log, clock, this.#heard)
  }

  create(key: LineKey): BookGuard {
    const guard = new BookGuard(key, this.#options.limits, this)
    this.#guards.set(key.instrument, guard)
    if (this.#guards.size === 1) this.#scheduleSweep()
    if (this.#held !== null) guard.leave()
    const grid = this.#grids.get(key.instrument)
    if (grid !== undefined) guard.judgeBy(grid)
    return guard
  }

  /** What prices and quantities of an instrument are multiples of, as the venue says now. */
  judgeBy(instrument: Instrument, grid: Grid): void {
    const known = this.#grids.get(instrument)
    if (known?.tick === grid.tick && known.step === grid.step) return
    this.#grids.set(instrument, grid)
    this.#guards.get(instrument)?.judgeBy(grid)
  }

  /** Only these books are kept here from now on; of those that were not before, what others said is read first. */
  hold(instruments: ReadonlySet<Instrument>): void {
    const before = this.#held
    this.#held = instruments
    for (const [instrument, guard] of this.#guards) {
      if (!instruments.has(instrument)) {
        guard.leave()
        this.#untold.delete(guard)
        this.#reading.delete(instrument)
        this.#reads?.drop(instrument)
      } else if (before === null || !before.has(instrument)) {
        guard.take()
        if (this.#reads === null) guard.heard(null, guard.shown)
        else this.#look(guard)
      }
    }
  }

  of(instrument: Instrument): BookGuard | null {
    return this.#guards.get(instrument) ?? null
  }

  /** What was said may be gone. */
  tellAgain(): void {
    for (const guard of this.#told) guard.tell()
  }

  stats(): BookStats {
    const checks = { right: 0, wrong: 0, doubtful: 0, unchecked: 0 }
    const qualities: Record<string, number> = {}
    const beyond = { proofOverflows: 0, recordedDropped: 0, resyncsUnanswered: 0 }
    let proofBytes = 0
    let blind = 0
    const oddities = { tick: 0, step: 0, time: 0 }
    for (const { proof, shown, held, line, counts } of this.#guards.values()) {
      beyond.recordedDropped += counts.recordedDropped
      beyond.resyncsUnanswered += counts.resyncsUnanswered
      qualities[shown.quality] = (qualities[shown.quality] ?? 0) + 1
      if (proof === null) continue
      proofBytes += proof.bytes
      beyond.proofOverflows += proof.overflows
      const { tick, step, time } = proof.oddities
      oddities.tick += tick
      oddities.step += step
      oddities.time += time
      if (held && line.joined && proof.blind) blind++
      for (const outcome of ['right', 'wrong', 'doubtful', 'unchecked'] as const)
        checks[outcome] += proof.counts[outcome]
    }
    const { ...mismatches } = this.#mismatches
    const { ...resyncs } = this.#resyncs
    return {
      checks,
      mismatches,
      resyncs,
      oddities,
      quarantines: this.#quarantines,
      blind,
      qualities,
      proofBytes,
      beyond,
    }
  }

  close(): void {
    this.#closed = true
    this.#cancelSweep()
    this.#cancelVerdicts()
    this.#reports?.close()
    this.#reads?.close()
  }

  // What guards say

  nowMs(): number {
    return this.#options.clock.monotonicMs()
  }

  nowUs(): number {
    return this.#options.clock.nowUs()
  }

  want(guard: BookGuard, reason: ResyncReason, tooOld: boolean): void {
    if (!tooOld) {
      this.#resyncs[reason] = (this.#resyncs[reason] ?? 0) + 1
      if (REPORTED.has(reason)) {
        const message = `the book of ${guard.key.instrument} is asked for again: ${reason}`
        this.#tell(guard, 'book-resync', message)
      }
    }
    this.#options.want(guard.key, tooOld)
  }

  changed(guard: BookGuard): void {
    this.#told.add(guard)
    if (!isDoubt(guard.shown) && this.#reads !== null && this.covered(guard)) {
      this.#untold.add(guard)
      this.#look(guard)
    } else {
      this.#untold.delete(guard)
      this.#say(guard)
    }
  }

  #say(guard: BookGuard): void {
    const { market, instrument } = guard.key
    this.#said.set(instrument, guard.shown)
    this.#reports?.tell({ market, instrument, shown: guard.shown })
  }

  covered(guard: BookGuard): boolean {
    return this.#options.covered(guard.key.instrument)
  }

  suspected(guard: BookGuard): void {
    const since = guard.proof?.wrongSince ?? 0
    const message = `the top of the book of ${guard.key.instrument} is not what the ticker says at update ${since}`
    this.#tell(guard, 'book-suspect', message)
  }

  odd(guard: BookGuard): void {
    const { tick, step, time } = guard.proof?.oddities ?? { tick: 0, step: 0, time: 0 }
    const found = `${tick} prices off the tick, ${step} quantities off the step, ${time} updates back in time`
    this.#tell(guard, 'book-odd', `the deltas of ${guard.key.instrument} hold what is hardly true so far: ${found}`)
  }

  mismatched(guard: BookGuard, mismatch: Mismatch): void {
    this.#mismatches[mismatch] = (this.#mismatches[mismatch] ?? 0) + 1
    const since = guard.proof?.wrongSince ?? 0
    this.#tell(guard, 'book-mismatch', `the book of ${guard.key.instrument} is wrong (${mismatch}) at update ${since}`)
  }

  quarantined(guard: BookGuard): void {
    this.#quarantines++
    const { failuresMax, withinMs, forMs } = this.#options.limits.quarantine
    const found = `${failuresMax} mismatches within ${withinMs / 1_000} s`
    this.#tell(guard, 'book-quarantined', `${guard.key.instrument}: ${found}, left alone for ${forMs / 1_000} s`)
  }

  released(guard: BookGuard): void {
    this.#tell(guard, 'book-released', `${guard.key.instrument} is out of quarantine`)
  }

  trace(): string {
    return this.#options.trace()
  }

  ready(guard: BookGuard): void {
    this.#options.ready(guard.key)
  }

  verdictsWait(guard: BookGuard): void {
    this.#withVerdicts.add(guard)
    if (this.#verdictsScheduled || this.#closed) return
    this.#verdictsScheduled = true
    this.#cancelVerdicts = this.#options.clock.after(VERDICTS_SWEEP_MS, this.#sweepVerdicts)
  }

  readonly #sweepVerdicts = (): void => {
    this.#verdictsScheduled = false
    for (const guard of this.#withVerdicts) if (!guard.sweepVerdicts()) this.#withVerdicts.delete(guard)
    const [waiting] = this.#withVerdicts
    if (waiting !== undefined) this.verdictsWait(waiting)
  }

  #look(guard: BookGuard): void {
    this.#reading.set(guard.key.instrument, guard.shown)
    this.#reads?.want(guard.key)
  }

  readonly #heard = (instrument: Instrument, standing: ShownQuality | null): void => {
    const asked = this.#reading.get(instrument)
    this.#reading.delete(instrument)
    const guard = this.#guards.get(instrument)
    if (asked === undefined || guard === undefined) return
    if (!this.#untold.delete(guard)) guard.heard(standing, asked)
    else if (!guard.held) return
    else if (standing === null || !isDoubt(standing) || isSameWord(standing, this.#said.get(instrument)))
      this.#say(guard)
    else guard.doubtedElsewhere(standing)
  }

  /** The process before may have found something at its end, when the word was read here already. */
  #lookAll(nowMs: number): void {
    if (nowMs - this.#lookedMs < LOOK_MS) return
    this.#lookedMs = nowMs
    for (const guard of this.#told) {
      const { instrument } = guard.key
      if (guard.held && !this.#reports?.waits(instrument) && !this.#reading.has(instrument)) this.#look(guard)
    }
  }

  #scheduleSweep(): void {
    this.#cancelSweep = this.#options.clock.after(SWEEP_MS, () => {
      this.#sweep()
      if (!this.#closed) this.#scheduleSweep()
    })
  }

  #sweep(): void {
    const nowMs = this.nowMs()
    const nowUs = this.nowUs()
    this.#forRefreshes.earn(nowMs)
    this.#forBlind.earn(nowMs)
    this.#lookAll(nowMs)
    const waiting: [BookGuard, ResyncReason][] = []
    for (const guard of this.#guards.values()) {
      const reason = guard.sweep(nowMs, nowUs)
      if (reason !== null) waiting.push([guard, reason])
    }
    if (waiting.length === 0) return
    // Those whose top may become unknown first, then who waits longest.
    waiting.sort(
      ([left, because], [right, why]) =>
        Number(because === 'refresh') - Number(why === 'refresh') || right.ageMs(nowMs) - left.ageMs(nowMs),
    )
    for (const [guard, reason] of waiting) {
      const allowance = UNPROVED.has(reason) ? this.#forBlind : this.#forRefreshes
      if (allowance.take()) guard.want(reason)
    }
  }

  #tell(guard: BookGuard, kind: DispatcherIncident['kind'], message: string): void {
    const { instrument, channel } = guard.key
    this.#options.tell({ kind, message, instrument, channel })
  }
}

/** Reasons for which a book is not known to be right until the answer comes. */
const UNPROVED: ReadonlySet<ResyncReason> = new Set<ResyncReason>(['blind', 'suspect'])
/** Reasons that an operator should hear of; the others are the way books are kept. */
const REPORTED: ReadonlySet<ResyncReason> = new Set<ResyncReason>([
  ...(['gap', 'crossed', 'ticker', 'emptied', 'audit', 'inherited', 'silent', 'asked'] as const),
])
