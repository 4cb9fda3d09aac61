import { UsageError } from '../errors.ts'
import type { Clock } from '../lib/clock.ts'
import type { VenueConnection } from './connection.ts'
import { FaultyConnections } from './fault-connections.ts'
import { FaultyFrames } from './fault-frames.ts'
import { FaultyRest } from './fault-rest.ts'
import { type Fault, type FrameFault, Pattern, type RestFault } from './faults.ts'
import { Random } from './market/random.ts'
import type { RestFaults } from './rest.ts'
import type { FaultRecord, RestAnswer } from './source.ts'
import type { StreamFaults, VenueStreams } from './streams.ts'

export type FaultPlace = Omit<FaultRecord, 'fault' | 'id' | 'timeMs'>

const FAULTS_MAX = 10_000
const DATA_CHARACTERS_MAX = 1000

/** A fault on its way: told, begun, over; and how often it struck. */
export class ActiveFault<Kind extends Fault = Fault> {
  readonly id: number
  readonly fault: Kind
  readonly pattern: Pattern
  stage: 'told' | 'active' | 'over' = 'told'
  applied = 0
  readonly #onApplied: (active: ActiveFault, place: FaultPlace) => void
  #left: number

  constructor(id: number, fault: Kind, onApplied: (active: ActiveFault, place: FaultPlace) => void) {
    this.id = id
    this.fault = fault
    this.#onApplied = onApplied
    this.pattern = new Pattern(patternOf(fault))
    this.#left = fault.fault === 'gap' ? Number.POSITIVE_INFINITY : timesOf(fault)
  }

  /** Counts and tells one application; the last of `count` ends the fault. */
  apply(place: FaultPlace): void {
    if (--this.#left <= 0) this.stage = 'over'
    this.tell(place)
  }

  /** As `apply`, for what only time ends. */
  tell(place: FaultPlace): void {
    this.applied++
    this.#onApplied(this, place)
  }
}

/** Without `count` a fault that lasts strikes as long as it lasts, and one that does not strikes once. */
function timesOf(fault: Fault): number {
  if ('count' in fault && fault.count !== undefined) return fault.count
  return ('for' in fault && fault.for !== undefined) || fault.fault === 'refuse' ? Number.POSITIVE_INFINITY : 1
}

function patternOf(fault: Fault): string {
  if ('stream' in fault) return fault.stream
  if ('path' in fault) return fault.path
  return fault.fault === 'snapshot-old' ? fault.symbol : '*'
}

/**
 * Applies faults between the source and the server. Faults of a file wait for the first frame, from which `at` counts;
 * faults told by request begin at once unless they say otherwise.
 */
export class FaultEngine implements StreamFaults, RestFaults {
  readonly #clock: Clock
  readonly #told: (record: FaultRecord) => void
  readonly #faults: ActiveFault[] = []
  readonly #waiting: ActiveFault[] = []
  readonly #cancels = new Set<() => void>()
  readonly #frames: FaultyFrames
  readonly #connections: FaultyConnections
  readonly #rest: FaultyRest
  #beganMs: number | null = null

  /** `told` hears of every application. All chance comes from `seed`. */
  constructor(clock: Clock, seed: number, told: (record: FaultRecord) => void) {
    this.#clock = clock
    this.#told = told
    const after = (ms: number, callback: () => void): void => this.#after(ms, callback)
    this.#frames = new FaultyFrames(new Random(seed, 1), after)
    this.#connections = new FaultyConnections(clock, after)
    this.#rest = new FaultyRest(clock, after)
  }

  attach(streams: VenueStreams): void {
    this.#connections.streams = streams
    this.#frames.streams = streams
  }

  /** Plans faults of a file: they wait for the first frame. */
  plan(faults: readonly Fault[]): void {
    for (const fault of faults) this.#waiting.push(this.#admit(fault))
  }

  /** A fault told by request. Answers its number. */
  tell(fault: Fault): number {
    const active = this.#admit(fault)
    if (this.#beganMs === null && fault.at !== undefined && fault.at > 0) this.#waiting.push(active)
    else this.#schedule(active)
    return active.id
  }

  /** One frame of the source on its way to the clients. */
  frame(stream: string, data: string, combined: string | undefined): void {
    if (this.#beganMs === null) this.#begin()
    this.#frames.pass(stream, data, combined)
  }

  refusal(): string | null {
    return this.#connections.refusal()
  }

  silences(connection: VenueConnection, stream: string): boolean {
    return this.#connections.silences(connection, stream)
  }

  answer(path: string, query: URLSearchParams, ask: () => Promise<RestAnswer | null>): Promise<RestAnswer | null> {
    return this.#rest.answer(path, query, ask)
  }

  /** The source has ended: what is held back goes out. */
  release(): void {
    this.#frames.release()
  }

  state(): { faults: Record<string, unknown>[]; askedWhileRefused: number } {
    const faults = this.#faults.map(({ id, fault, stage, applied }) => ({ id, ...fault, stage, applied }))
    return { faults, askedWhileRefused: this.#rest.askedWhileRefused }
  }

  close(): void {
    for (const cancel of this.#cancels) cancel()
    this.#rest.close()
  }

  #admit(fault: Fault): ActiveFault {
    if (this.#faults.length >= FAULTS_MAX) throw new UsageError(`expected at most ${FAULTS_MAX} faults`)
    const active = new ActiveFault(this.#faults.length + 1, fault, (applied, place) => this.#tell(applied, place))
    this.#faults.push(active)
    return active
  }

  #begin(): void {
    this.#beganMs = this.#clock.monotonicMs()
    for (const active of this.#waiting.splice(0)) this.#schedule(active)
  }

  #schedule(active: ActiveFault): void {
    const elapsedMs = this.#beganMs === null ? 0 : this.#clock.monotonicMs() - this.#beganMs
    const waitMs = (active.fault.at ?? 0) * 1000 - elapsedMs
    if (waitMs <= 0) this.#start(active)
    else this.#after(waitMs, () => this.#start(active))
  }

  #start(active: ActiveFault): void {
    active.stage = 'active'
    const end = this.#place(active)
    const lastsMs = lastsMsOf(active.fault)
    if (lastsMs === null) return
    this.#after(lastsMs, () => {
      active.stage = 'over'
      end()
    })
  }

  /** Hands the fault to whom it concerns; the answer undoes what lasts. */
  #place(active: ActiveFault): () => void {
    if (isOnFrames(active)) return this.#frames.add(active)
    if (isOnRest(active)) return this.#rest.add(active)
    return this.#connections.add(active)
  }

  #tell(active: ActiveFault, place: FaultPlace): void {
    const { data } = place
    this.#told({
      fault: active.fault.fault,
      id: active.id,
      timeMs: this.#clock.nowUs() / 1000,
      ...place,
      ...(data !== undefined && data.length > DATA_CHARACTERS_MAX ? { data: data.slice(0, DATA_CHARACTERS_MAX) } : {}),
    })
  }

  #after(ms: number, callback: () => void): void {
    const cancel = this.#clock.after(ms, () => {
      this.#cancels.delete(cancel)
      callback()
    })
    this.#cancels.add(cancel)
  }
}

const REFUSE_SECONDS = 5

function lastsMsOf(fault: Fault): number | null {
  if ('for' in fault && fault.for !== undefined) return fault.for * 1000
  return fault.fault === 'refuse' && fault.count === undefined ? REFUSE_SECONDS * 1000 : null
}

function isOnFrames(active: ActiveFault): active is ActiveFault<FrameFault> {
  return 'probability' in active.fault
}

function isOnRest(active: ActiveFault): active is ActiveFault<RestFault> {
  const { fault } = active.fault
  return fault.startsWith('rest-') || fault === 'snapshot-old' || fault === 'clock-skew'
}
