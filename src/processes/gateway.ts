import type { Config } from '../config/schema.ts'
import { Gateway } from '../gateway/gateway.ts'
import type { Operation } from '../gateway/operation.ts'
import { commandOperations } from '../gateway/resources/commands.ts'
import { deadLetterOperations } from '../gateway/resources/dead-letters.ts'
import { healthOperations, type Obstacles } from '../gateway/resources/health.ts'
import { instrumentOperations } from '../gateway/resources/instruments.ts'
import { limitOperations } from '../gateway/resources/limits.ts'
import { routeOperations } from '../gateway/resources/routes.ts'
import { streamOperations } from '../gateway/resources/streams.ts'
import { subscriptionOperations } from '../gateway/resources/subscriptions.ts'
import { workerOperations } from '../gateway/resources/workers.ts'
import type { KnownToken } from '../gateway/tokens.ts'
import type { Clock } from '../lib/clock.ts'
import type { RedisConnection } from '../redis/connection.ts'
import { RedisControlClient } from '../redis/control-client.ts'
import { RedisDeadLetterBox } from '../redis/control-dead-letters.ts'
import { RedisTableReader } from '../redis/control-reader.ts'
import { RedisTopicReports } from '../redis/control-reports.ts'
import { CatalogView } from '../redis/gateway-catalog.ts'
import { RedisGapReader } from '../redis/gateway-gaps.ts'
import { RedisInstrumentReader } from '../redis/gateway-instruments.ts'
import { RedisEgresses } from '../redis/gateway-limits.ts'
import { RedisRequestMemory } from '../redis/gateway-memory.ts'
import { RedisStreamCatalogReader } from '../redis/gateway-streams.ts'
import type { Keys } from '../redis/keys.ts'
import { RedisMembers } from '../redis/members.ts'
import type { Logger } from '../telemetry/logger.ts'
import { MARKET } from './ingest.ts'

/** The venue's documented weight per minute until it tells its own. */
const WEIGHT_PER_MINUTE = 6_000

export interface GatewayParts {
  readonly config: Config
  /** Nothing of the data path goes over it. */
  readonly connection: RedisConnection
  readonly keys: Keys
  readonly clock: Clock
  readonly logger: Logger
  /** Why this process cannot do its work now, Redis not counted. */
  readonly obstacles: Obstacles
}

/** The role `gateway` with Redis behind each of its contracts; null where `gateway.listen` is off. */
export function gatewayOnRedis(parts: GatewayParts): Gateway | null {
  const { config, connection, keys, clock, logger } = parts
  const { listen, tokens, tokenFile: _, waitMsMax, ...limits } = config.gateway
  if (listen === 'off') return null
  const members = new RedisMembers(connection, keys)
  const { expiryMs } = config.cluster
  const control = new RedisControlClient({ connection, keys, clock, expiryMs })
  const table = new RedisTableReader(connection, keys)
  const catalog = new CatalogView(connection, keys, clock)
  const commands = { control, waitMsMax, nowUs: () => clock.nowUs() }
  const markets = [MARKET] as const
  const instruments = new RedisInstrumentReader(connection, keys, catalog, members)
  const operations: Operation[] = [
    ...subscriptionOperations({ ...commands, table, markets }),
    ...commandOperations(commands),
    ...routeOperations(table),
    ...instrumentOperations({
      ...{ ...commands, markets, instruments },
      gaps: new RedisGapReader(connection, keys),
      topics: new RedisTopicReports(connection, keys),
    }),
    ...streamOperations(new RedisStreamCatalogReader(connection, catalog)),
    ...limitOperations(new RedisEgresses(connection, keys, WEIGHT_PER_MINUTE)),
    ...workerOperations({ ...commands, members, expiryMs }),
    ...deadLetterOperations(new RedisDeadLetterBox(connection, keys)),
    ...healthOperations(() => [...parts.obstacles(), ...(connection.isReady ? [] : ['Redis cannot be reached'])]),
  ]
  return new Gateway({
    ...{ listen, limits, operations, clock, logger },
    tokens: tokens.map(knownToken),
    memory: new RedisRequestMemory(connection, keys, clock),
  })
}

/** The configuration has replaced every token by its hash. */
function knownToken({ name, roles, token }: Config['gateway']['tokens'][number]): KnownToken {
  return { name, roles, sha256: token.replace(/^sha256:/, '') }
}
