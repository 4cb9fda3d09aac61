import { SystemClock } from '../lib/clock.ts'
import { readFaults } from './faults.ts'
import { openReplay, type ReplaySpeed } from './replay.ts'
import { VenueServer, type VenueServerOptions } from './server.ts'
import type { MarketSource } from './source.ts'
import type { VenueRules } from './streams.ts'

/** A running simulated venue. */
export interface Simulator {
  /** Base addresses, for example `ws://127.0.0.1:9443` and `http://127.0.0.1:9443`. */
  readonly ws: string
  readonly rest: string
  /** Every stream it can feed; null when any may be asked for. */
  readonly streams: ReadonlySet<string> | null
  /** Resolves when the source has emitted its last frame; never for an endless market; rejects where the source fails. */
  readonly done: Promise<void>
  /** As `GET /simulator/state`. */
  state(): Promise<Record<string, unknown>>
  close(): Promise<void>
}

export interface SimulatorOptions extends VenueServerOptions {
  readonly source: MarketSource
}

/** Opens a simulated venue around a source, on 127.0.0.1 unless told otherwise. Throws: UnavailableError where the port is taken. */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const server = new VenueServer(options.source, options)
  const addresses = await server.listen()
  return {
    ...addresses,
    streams: options.source.streams,
    done: options.source.done,
    state: async () => server.state(),
    close: () => server.close(),
  }
}

/** A simulated venue described by plain data, so that the description can cross to another thread. */
export interface SimulatorPlan {
  readonly replay?: { readonly file: string; readonly speed?: ReplaySpeed; readonly startAfterMs?: number | null }
  readonly generated?: {
    /** How many of the standard list, or the venue's symbols. */
    readonly instruments: number | readonly string[]
    readonly seed: number
    /** Orders and cancels a second over all instruments. */
    readonly rate: number | 'max'
    /** REST weight that an address may spend in a minute; the venue's own when absent. */
    readonly requestWeight?: number
    /** Where the truth is written; none: nowhere. */
    readonly ledgerFile?: string | null
  }
  readonly faultsFile?: string | null
  readonly port?: number
  readonly host?: string
  readonly rules?: Partial<VenueRules>
}

/** Throws: UsageError where a file is not what it should be, UnavailableError where a file or the port cannot be had. */
export async function startSimulatorFrom(plan: SimulatorPlan): Promise<Simulator> {
  const faults = plan.faultsFile ? await readFaults(plan.faultsFile) : []
  const source = await openSource(plan)
  try {
    return await startSimulator({
      source,
      faults,
      seed: plan.generated?.seed ?? 1,
      port: plan.port ?? 0,
      ...(plan.host === undefined ? {} : { host: plan.host }),
      rules: plan.rules ?? {},
    })
  } catch (error) {
    await source.close()
    throw error
  }
}

async function openSource(plan: SimulatorPlan): Promise<MarketSource> {
  if (plan.replay) return openReplay(plan.replay)
  if (!plan.generated) throw new TypeError('a simulated venue needs a capture to replay or a market to generate')
  const { createGeneratedMarket } = await import('./market/market.ts')
  const { ledgerFile, ...market } = plan.generated
  return createGeneratedMarket({ ...market, clock: new SystemClock(), ...(ledgerFile ? { ledgerFile } : {}) })
}
