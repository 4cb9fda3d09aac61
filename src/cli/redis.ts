import type { Config } from '../config/schema.ts'
import { UsageError } from '../errors.ts'
import type { ConnectionKind, RedisConnection } from '../redis/connection.ts'

/**
 * Opens a connection for a command that reads what others write.
 *
 * Throws: UsageError where no address is known, UnavailableError where nobody answers there.
 */
export async function openRedis(config: Config, kind: ConnectionKind): Promise<RedisConnection> {
  if (config.redis.mode === 'single' && config.redis.url === null) {
    throw new UsageError(
      'expected the address of a Redis, found none. Give it with --redis redis://host:port; `meltica start` shows the address of its own.',
    )
  }
  const { RedisConnection } = await import('../redis/connection.ts')
  const connection = new RedisConnection(config.redis, kind)
  try {
    await connection.ready()
  } catch (error) {
    connection.close()
    throw error
  }
  return connection
}
