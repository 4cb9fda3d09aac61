import type { Config } from '../config/schema.ts'
import { startSimulatorThread } from '../simulator/thread.ts'
import type { StartOptions } from './start-options.ts'

/** Where the venue is, and for a simulated one how to watch and end it. */
export interface VenueAddress {
  /** What the keyspace record says: `production`, `simulated:SEED`, `replay` ... */
  readonly environment: string
  /** The same for people. */
  readonly label: string
  readonly streamUrl: string
  readonly restUrl: string
  /** The only topics it can feed; null when any may be asked for. */
  readonly available: ReadonlySet<string> | null
  /** Resolves when nothing more will come; never for a real venue. */
  readonly done: Promise<void>
  /** Frames sent to its clients; null where it cannot be asked. */
  framesSent(): Promise<number | null>
  close(): Promise<void>
}

/** Names the configured venue, or starts a simulated one in a thread of its own: a replay, or the generated market. */
export async function openVenue(config: Config, replay: StartOptions['replay']): Promise<VenueAddress> {
  const { environment, streamUrl, restUrl } = config.venues.binance
  if (replay === null && streamUrl !== null && restUrl !== null) {
    return {
      environment,
      label: environment === 'simulated' ? 'simulated venue' : environment,
      streamUrl,
      restUrl,
      available: null,
      done: new Promise(() => {}),
      framesSent: async () => null,
      close: async () => {},
    }
  }
  const { instruments, seed, rate, requestWeight, port } = config.simulator
  const simulator = await startSimulatorThread(
    replay === null
      ? { generated: { instruments, seed, rate, requestWeight }, port }
      : { replay: { file: replay.file, speed: replay.speed }, port },
  )
  return {
    environment: replay === null ? `simulated:${seed}` : 'replay',
    label: replay === null ? `simulated market, seed ${seed}` : 'replayed capture',
    streamUrl: simulator.ws,
    restUrl: simulator.rest,
    available: replay === null ? null : simulator.streams,
    done: simulator.done,
    framesSent: async () => {
      const { frames } = (await simulator.state()) as { frames?: { sent: number } }
      return frames?.sent ?? null
    },
    close: () => simulator.close(),
  }
}
