import type { Clock } from '../lib/clock.ts'
import { VenueServer } from './server.ts'
import type { MarketSource } from './source.ts'
import type { VenueRules } from './streams.ts'

export interface SimulatorOptions {
  readonly source: MarketSource
  /** 0 takes a free port. */
  readonly port?: number
  readonly rules?: Partial<VenueRules>
  readonly clock?: Clock
}

/** A running simulated venue. */
export interface Simulator {
  /** Base addresses, for example `ws://127.0.0.1:9443` and `http://127.0.0.1:9443`. */
  readonly ws: string
  readonly rest: string
  /** Resolves when the source has emitted its last frame; never for an endless market. */
  readonly done: Promise<void>
  state(): Promise<Record<string, unknown>>
  close(): Promise<void>
}

/** Opens a simulated venue on 127.0.0.1. Throws: UnavailableError where the port is taken. */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const server = new VenueServer(options.source, options)
  const addresses = await server.listen()
  return {
    ...addresses,
    done: options.source.done,
    state: async () => server.state(),
    close: () => server.close(),
  }
}
