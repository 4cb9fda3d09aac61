import type { Config } from '../config/schema.ts'
import { UnavailableError } from '../errors.ts'
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
import { MARKET } from './market.ts'
import { WEIGHT_PER_MINUTE } from './venue-rest.ts'

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

/** The role `gateway` with Redis behind each of its contracts. */
export function gatewayOnRedis(parts: GatewayParts): Gateway {
  const { config, connection, keys, clock, logger } = parts
  const { listen: _listen, tokens, tokenFile: _file, waitMsMax, ...limits } = config.gateway
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
    ...{ limits, operations, clock, logger },
    tokens: tokens.map(knownToken),
    memory: new RedisRequestMemory(connection, keys, clock),
  })
}

/**
 * Begins to serve and says where. An address that somebody named must be free; where the role and its address are those of
 * `config/meltica.yaml`, a second process on one machine serves on any free port instead, and says so.
 *
 * Throws: UnavailableError if the port is taken, or the host is none of this machine.
 */
export async function openGateway(gateway: Gateway, { config, logger, isNamed }: GatewayOpening): Promise<string> {
  const { listen, tokens } = config.gateway
  let url: string
  try {
    url = await gateway.open(listen)
  } catch (error) {
    if (isNamed || !(error instanceof UnavailableError)) throw error
    url = await gateway.open(`${listen.slice(0, listen.lastIndexOf(':'))}:0`)
    logger.warn('gateway-elsewhere', `the admin API found ${listen} taken and listens on ${url}`, { url })
  }
  const who = tokens.length === 0 ? 'whoever is on this machine, because no token is configured' : 'bearer tokens'
  logger.info('gateway-open', `the admin API is at ${url}/v1, for people at ${url}/docs, for ${who}`, { url })
  return url
}

interface GatewayOpening {
  readonly config: Config
  readonly logger: Logger
  /** Whether somebody asked for the role, or for its address, by name. */
  readonly isNamed: boolean
}

/** The configuration has replaced every token by its hash. */
function knownToken({ name, roles, token }: Config['gateway']['tokens'][number]): KnownToken {
  return { name, roles, sha256: token.replace(/^sha256:/, '') }
}
