import { UsageError } from '../errors.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import { Script } from './script.ts'

const CONTRACT_VERSION = '1'
const openKeyspaceScript = new Script('openKeyspace-1.lua')

/**
 * Creates the keyspace's record, or makes sure that this process means the same keyspace: contract version, number of
 * partitions and the environment of each venue, so that simulated and real markets never mix. To be called at start and again
 * whenever a connection was lost, because the Redis that comes back may be empty.
 *
 * Shape:  `environments` by venue, for example { binance: 'production' } or { binance: 'simulated:42' } with the seed.
 * Throws: UsageError if the record differs; BusError.
 */
export async function openKeyspace(
  connection: RedisConnection,
  keys: Keys,
  environments: Readonly<Record<string, string>>,
): Promise<void> {
  const wanted: Record<string, string> = { v: CONTRACT_VERSION, partitions: String(keys.partitions) }
  for (const [venue, environment] of Object.entries(environments)) wanted[`environment:${venue}`] = environment
  const args = [1, keys.meta, CONTRACT_VERSION, String(keys.partitions), ...Object.entries(environments).flat()]
  const differing = (await openKeyspaceScript.run(connection, args)) as string[]
  if (differing.length === 0) return
  const differences: string[] = []
  for (let at = 0; at + 1 < differing.length; at += 2) {
    const field = differing[at] as string
    differences.push(`${field}: expected ${wanted[field]}, found ${differing[at + 1]}`)
  }
  throw new UsageError(
    `The keyspace ${keys.prefix} at ${connection.address} was made with other settings (${keys.meta}). ` +
      `${differences.join('; ')}. Take the same settings, or another prefix.`,
  )
}
