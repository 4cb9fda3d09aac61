import type { Config } from '../config/schema.ts'
import { UsageError } from '../errors.ts'
import { Closings } from './closings.ts'
import type { StartOptions } from './start-options.ts'
import { openVenue } from './venue-address.ts'

/** `meltica start`. Answers the exit code. */
export async function runStart(config: Config, options: StartOptions): Promise<number> {
  const startedMs = performance.now()
  const has = (role: Config['roles'][number]): boolean => config.roles.includes(role)
  if (options.replay !== null && !has('ingest')) throw new UsageError('expected the role ingest with --replay')
  if (has('poller') && !has('ingest') && config.venues.binance.restUrl === null)
    throw new UsageError('expected venues.binance.restUrl for the role poller without the role ingest, found none')
  const closings = new Closings()
  try {
    // Beside everything else: a simulated venue has a thread of its own, and reads a capture once through before it replays it.
    const opening = has('ingest') || has('poller') ? openVenue(config, options.replay) : Promise.resolve(null)
    const opened = opening.catch(() => null)
    closings.add(async () => (await opened)?.close())
    // Loaded while the venue opens.
    const { runRoles } = await import('./roles.ts')
    return await runRoles({ config, options, opening, closings, startedMs })
  } finally {
    await closings.run()
  }
}
