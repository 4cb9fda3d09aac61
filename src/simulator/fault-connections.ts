import type { Clock } from '../lib/clock.ts'
import type { VenueConnection } from './connection.ts'
import type { ActiveFault } from './fault-engine.ts'
import type { Fault } from './faults.ts'
import type { VenueStreams } from './streams.ts'

type Refuse = ActiveFault<Extract<Fault, { fault: 'refuse' }>>
type Silent = ActiveFault<Extract<Fault, { fault: 'silent' }>>

/** Faults of connections and subscriptions. */
export class FaultyConnections {
  streams: VenueStreams | null = null
  readonly #clock: Clock
  readonly #after: (ms: number, callback: () => void) => void
  readonly #refusing = new Set<Refuse>()
  /** How many subscriptions each `silent` has already silenced, by stream. */
  readonly #silent = new Map<Silent, Map<string, number>>()

  constructor(clock: Clock, after: (ms: number, callback: () => void) => void) {
    this.#clock = clock
    this.#after = after
  }

  /** Begins a fault; the answer undoes what lasts. */
  add(active: ActiveFault): () => void {
    const { fault } = active
    switch (fault.fault) {
      case 'half-open':
        return this.#freeze(active, fault.count)
      case 'silent':
        return this.#silence(active as Silent)
      case 'disconnect':
        for (const connection of this.#chosen(active, fault.count)) {
          active.tell({ connection: connection.id })
          if (fault.how === 'reset') connection.terminate()
          else connection.close(1001, 'Going away')
        }
        return over(active)
      case 'refuse':
        this.#refusing.add(active as Refuse)
        return () => this.#refusing.delete(active as Refuse)
      case 'lifetime':
        return this.#limitLifetime(active, fault.seconds)
      case 'serverShutdown':
        this.#shutDown(active, fault.delay, fault.count)
        return over(active)
      default:
        throw new TypeError(`${fault.fault} is no fault of connections`)
    }
  }

  refusal(): string | null {
    for (const active of this.#refusing) {
      active.apply({})
      if (active.stage === 'over') this.#refusing.delete(active)
      return active.fault.how === 'reset' ? '' : '503 Service Unavailable'
    }
    return null
  }

  silences(connection: VenueConnection, stream: string): boolean {
    for (const [active, silenced] of this.#silent) {
      if (!active.pattern.matches(stream)) continue
      const before = silenced.get(stream) ?? 0
      if (before >= (active.fault.count ?? 1)) continue
      silenced.set(stream, before + 1)
      active.tell({ stream, connection: connection.id })
      return true
    }
    return false
  }

  /** The connections that carry a matching stream, oldest first; every one where any stream matches. */
  #chosen(active: ActiveFault, count = Number.POSITIVE_INFINITY): readonly VenueConnection[] {
    const { pattern } = active
    const connections = [...(this.streams?.connections ?? [])].filter(
      (connection) => pattern.matches('') || [...connection.streams.keys()].some((stream) => pattern.matches(stream)),
    )
    return connections.slice(0, count)
  }

  #freeze(active: ActiveFault, count: number | undefined): () => void {
    const frozen = this.#chosen(active, count)
    for (const connection of frozen) {
      active.tell({ connection: connection.id })
      connection.freeze()
    }
    // A line that lost what was under way never goes on where it stood: whoever still holds it is told that it is dead.
    return () => {
      for (const connection of frozen) connection.terminate()
    }
  }

  #silence(active: Silent): () => void {
    const silenced = new Map<string, number>()
    for (const connection of this.streams?.connections ?? []) {
      for (const stream of connection.streams.keys()) {
        if (!active.pattern.matches(stream)) continue
        connection.silence(stream)
        silenced.set(stream, 1)
        active.tell({ stream, connection: connection.id })
      }
    }
    this.#silent.set(active, silenced)
    // A subscription that was struck stays silent until it is made again, as at the venue.
    return () => this.#silent.delete(active)
  }

  #limitLifetime(active: ActiveFault, seconds: number | undefined): () => void {
    const streams = this.streams
    if (streams === null) return () => {}
    if (seconds === undefined) {
      for (const connection of streams.connections) {
        active.tell({ connection: connection.id })
        connection.close(1000, '')
      }
      return over(active)
    }
    const before = streams.rules.lifetimeMs
    streams.rules.lifetimeMs = seconds * 1000
    active.tell({})
    return () => {
      streams.rules.lifetimeMs = before
    }
  }

  #shutDown(active: ActiveFault, delaySeconds: number, count: number | undefined): void {
    const told = this.#chosen(active, count)
    const notice = `{"e":"serverShutdown","E":${Math.trunc(this.#clock.nowUs() / 1000)}}`
    for (const connection of told) {
      active.tell({ connection: connection.id })
      connection.reply(connection.combined ? `{"stream":"!serverShutdown","data":${notice}}` : notice)
    }
    this.#after(delaySeconds * 1000, () => {
      for (const connection of told) connection.close(1001, 'Server shutdown')
    })
  }
}

function over(active: ActiveFault): () => void {
  active.stage = 'over'
  return () => {}
}
