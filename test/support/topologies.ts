import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { type RedisConnectionOptions, redisAt } from '../../src/redis/connection.ts'
import { findRedisServer } from '../../src/redis/launcher.ts'
import { TcpProxy } from './proxy.ts'
import { atEndOfFile, eventually, startPrivateRedis, type TestRedis } from './redis.ts'

/**
 * Redis as it runs in earnest, made of plain `redis-server` processes on this machine: a master with replicas watched by
 * sentinels, and a cluster. Both are ready in 2 to 3 s, because every process is told at its start who the others are,
 * and nothing waits for gossip.
 */
export interface Topology {
  readonly options: RedisConnectionOptions
  /** Ends all of it. */
  stop(): Promise<void>
}

const MASTER_NAME = 'market'
/** Longest waits, for machines with much else to do. */
const READY_MS = 30_000
const FAILED_OVER_MS = 30_000
const REPLICA = ['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1', '--repl-timeout', '5']

export interface SentinelTopology extends Topology {
  readonly nodes: readonly TestRedis[]
  /** The one that the sentinels name now. */
  master(): Promise<TestRedis>
  /** Keeps from the replicas what the master is told from now on, so that they are behind when it dies. */
  stopReplication(): Promise<void>
  /** Waits until they name another one than this, and it takes writes. */
  failedOver(from: TestRedis): Promise<TestRedis>
}

/**
 * One master, two replicas, three sentinels. `masterAheadSeconds`: the first master's clock, by `buildClockShim`.
 * `sentinelPassword`: what the sentinels ask for, each other too.
 */
export async function startSentinel(
  options: {
    readonly clockShim?: string
    readonly masterAheadSeconds?: number
    readonly sentinelPassword?: string
  } = {},
): Promise<SentinelTopology> {
  const first = await startPrivateRedis({
    extraArguments: REPLICA,
    ...(options.clockShim === undefined
      ? {}
      : { path: shimmedServer(options.clockShim, options.masterAheadSeconds ?? 0) }),
  })
  const replicaOf = ['--replicaof', `127.0.0.1 ${first.port}`, ...REPLICA]
  const replicas = await Promise.all([1, 2].map(() => startPrivateRedis({ extraArguments: replicaOf })))
  const nodes = [first, ...replicas]
  await eventually(
    async () => /connected_slaves:2/.test(await first.client.info('replication')) && (await inSync(replicas)),
    READY_MS,
  )
  const ports = [await freePort(), await freePort(), await freePort()]
  const sentinels = await Promise.all(
    ports.map((port, index) => startSentinelProcess(port, index, ports, nodes, options.sentinelPassword)),
  )
  const asked = sentinels.map(({ client }) => client)
  const master = async (): Promise<TestRedis> => {
    const told = await (asked[0] as Redis).call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME)
    const [, port] = told as [string, string]
    return nodes.find((node) => node.port === Number(port)) as TestRedis
  }
  await eventually(async () => {
    const counts = await Promise.all(asked.map((client) => client.call('SENTINEL', 'CKQUORUM', MASTER_NAME)))
    const known = await Promise.all(asked.map((client) => client.call('SENTINEL', 'REPLICAS', MASTER_NAME)))
    return counts.every((text) => /^OK 3/.test(String(text))) && known.every((list) => (list as unknown[]).length === 2)
  }, READY_MS)
  return {
    nodes,
    options: {
      ...redisAt(first.url),
      ...{ url: null, mode: 'sentinel', nodes: ports.map((port) => `127.0.0.1:${port}`), sentinelName: MASTER_NAME },
    },
    master,
    stopReplication: async () => {
      const now = await master()
      const followers = nodes.filter((node) => node !== now)
      // A port at which nobody answers; the sentinels would mend it only after many seconds.
      await Promise.all(followers.map(({ client }) => client.call('REPLICAOF', '127.0.0.1', '1')))
    },
    failedOver: (from) =>
      eventually(async () => {
        const now = await master()
        return now !== from && /role:master/.test(await now.client.info('replication')) ? now : null
      }, FAILED_OVER_MS),
    stop: async () => {
      for (const sentinel of sentinels) await sentinel.stop()
      await Promise.all(nodes.map((node) => node.stop()))
    },
  }
}

export interface ClusterTopology extends Topology {
  /** Three masters at first, then their replicas in the same order. */
  readonly nodes: readonly TestRedis[]
  /** The node that has the slot of this key now, by the word of one that lives. */
  ownerOf(key: string): Promise<TestRedis>
  slotOf(key: string): Promise<number>
  /** Moves a slot with all it holds to another master, key by key, while everything runs. */
  moveSlot(slot: number, to: TestRedis): Promise<void>
  /** Keeps from the replica of this master what it is sent from now on, so that it is behind when the master dies. */
  stopReplication(master: TestRedis): void
  /** Waits until the slot of this key is another node's than `from`, by the word of all that live. */
  failedOver(key: string, from: TestRedis): Promise<TestRedis>
}

const SLOTS = 16_384
const MASTERS = 3

/**
 * Three masters with a replica each; `nodeTimeoutMs` is how long silence lasts before a failure. What the first masters
 * announce is a proxy, through which clients and replicas come to them.
 */
export async function startCluster(nodeTimeoutMs = 800): Promise<ClusterTopology> {
  const ports = await freePorts(4 * MASTERS)
  const proxies = await Promise.all(ports.slice(0, MASTERS).map((port) => TcpProxy.open(port)))
  const plan = Array.from({ length: 2 * MASTERS }, (_, index) => ({
    id: `${index + 1}`.repeat(40),
    port: ports[index] as number,
    announced: proxies[index]?.port ?? (ports[index] as number),
    bus: ports[index + 2 * MASTERS] as number,
  }))
  const bounds = Array.from({ length: MASTERS + 1 }, (_, index) => Math.floor((SLOTS * index) / MASTERS))
  const nodes = await Promise.all(
    plan.map((mine, index) => {
      const directory = mkdtempSync(join(tmpdir(), 'meltica-cluster-'))
      atEndOfFile(() => rmSync(directory, { recursive: true, force: true }))
      const lines = plan.map(({ id, announced, bus }, at) => {
        const self = at === index ? 'myself,' : ''
        const address = `${id} 127.0.0.1:${announced}@${bus}`
        if (at >= MASTERS) return `${address} ${self}slave ${plan[at - MASTERS]?.id} 0 0 ${at - MASTERS + 1} connected`
        return `${address} ${self}master - 0 0 ${at + 1} connected ${bounds[at]}-${(bounds[at + 1] as number) - 1}`
      })
      const vars = `vars currentEpoch ${MASTERS} lastVoteEpoch 0`
      writeFileSync(join(directory, 'nodes.conf'), `${lines.join('\n')}\n${vars}\n`)
      return startPrivateRedis({
        ...{ directory, port: mine.port },
        extraArguments: [
          ...['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf'],
          ...['--cluster-node-timeout', `${nodeTimeoutMs}`, '--cluster-port', `${mine.bus}`],
          ...[
            '--cluster-announce-ip',
            '127.0.0.1',
            '--cluster-announce-port',
            `${mine.announced}`,
            '--cluster-replica-validity-factor',
            '0',
            ...REPLICA,
          ],
        ],
      })
    }),
  )
  const replicas = nodes.slice(MASTERS)
  await eventually(async () => {
    const told = await Promise.all(nodes.map((node) => node.client.call('CLUSTER', 'INFO')))
    return told.every((text) => /cluster_state:ok/.test(String(text))) && (await inSync(replicas))
  }, READY_MS)
  const living = async (): Promise<TestRedis[]> => {
    const pings = await Promise.all(nodes.map((node) => node.client.ping().catch(() => null)))
    return nodes.filter((_, index) => pings[index] !== null)
  }
  const slotOf = async (key: string): Promise<number> =>
    Number(await (await living())[0]?.client.call('CLUSTER', 'KEYSLOT', key))
  const ownerBy = async (teller: TestRedis, slot: number): Promise<TestRedis | undefined> => {
    const table = (await teller.client.call('CLUSTER', 'SLOTS')) as [number, number, [string, number]][]
    const port = table.find(([from, to]) => from <= slot && slot <= to)?.[2][1]
    return nodes[plan.findIndex(({ announced }) => announced === port)]
  }
  return {
    nodes,
    options: {
      ...redisAt(nodes[0]?.url ?? ''),
      ...{ url: null, mode: 'cluster', nodes: plan.map(({ announced }) => `127.0.0.1:${announced}`) },
    },
    slotOf,
    ownerOf: async (key) => (await ownerBy((await living())[0] as TestRedis, await slotOf(key))) as TestRedis,
    stopReplication: (master) => proxies[nodes.indexOf(master)]?.set({ blackhole: true, replicationOnly: true }),
    moveSlot: (slot, to) => moveSlot(slot, to, nodes, ownerBy),
    failedOver: (key, from) =>
      eventually(async () => {
        const tellers = (await living()).filter((node) => node !== from)
        const slot = await slotOf(key)
        const owners = await Promise.all(tellers.map((node) => ownerBy(node, slot)))
        const states = await Promise.all(tellers.map((node) => node.client.call('CLUSTER', 'INFO')))
        const agreed = owners.every((owner) => owner !== undefined && owner !== from && owner === owners[0])
        return agreed && states.every((text) => /cluster_state:ok/.test(String(text))) ? owners[0] : null
      }, FAILED_OVER_MS),
    stop: async () => {
      await Promise.all(proxies.map((proxy) => proxy.close()))
      await Promise.all(nodes.map((node) => node.stop()))
    },
  }
}

/** By the book: the target imports, the source migrates, keys go one by one, then everybody is told. */
async function moveSlot(
  slot: number,
  to: TestRedis,
  nodes: readonly TestRedis[],
  ownerBy: (teller: TestRedis, slot: number) => Promise<TestRedis | undefined>,
): Promise<void> {
  const from = await ownerBy(to, slot)
  if (from === undefined || from === to) throw new Error(`expected slot ${slot} at another node, found it there`)
  const [fromId, toId] = await Promise.all(
    [from, to].map(async ({ client }) => String(await client.call('CLUSTER', 'MYID'))),
  )
  await to.client.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId as string)
  await from.client.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId as string)
  for (;;) {
    const keys = (await from.client.call('CLUSTER', 'GETKEYSINSLOT', slot, 20)) as string[]
    if (keys.length === 0) break
    await from.client.call('MIGRATE', '127.0.0.1', to.port, '', 0, 5_000, 'KEYS', ...keys)
  }
  await to.client.call('CLUSTER', 'SETSLOT', slot, 'NODE', toId as string)
  await from.client.call('CLUSTER', 'SETSLOT', slot, 'NODE', toId as string)
  for (const { client } of nodes) {
    if (/role:master/.test(await client.info('replication').catch(() => ''))) {
      await client.call('CLUSTER', 'SETSLOT', slot, 'NODE', toId as string)
    }
  }
}

/** Replicas that have their master's data and follow it. */
async function inSync(replicas: readonly TestRedis[]): Promise<boolean> {
  const told = await Promise.all(replicas.map(({ client }) => client.info('replication')))
  return told.every((text) => /master_link_status:up/.test(text) && /master_sync_in_progress:0/.test(text))
}

interface Sentinel {
  readonly client: Redis
  stop(): Promise<void>
}

/** A shell between us and it ends it when we end, whatever ends us. */
const SENTINEL_WRAPPER = `
exec 3<&0
"$1" "$2" --sentinel 3<&- </dev/null >/dev/null 2>&1 &
server=$!
( read -r _ <&3; kill -KILL "$server" ) >/dev/null 2>&1 &
wait "$server"
`

async function startSentinelProcess(
  port: number,
  index: number,
  ports: readonly number[],
  [master, ...replicas]: readonly TestRedis[],
  password?: string,
): Promise<Sentinel> {
  const directory = mkdtempSync(join(tmpdir(), 'meltica-sentinel-'))
  const file = join(directory, 'sentinel.conf')
  const idOf = (at: number): string => `${at + 1}`.repeat(40)
  const others = ports.flatMap((other, at) =>
    at === index ? [] : [`sentinel known-sentinel ${MASTER_NAME} 127.0.0.1 ${other} ${idOf(at)}`],
  )
  const lines = [
    ...[`port ${port}`, 'bind 127.0.0.1', `dir ${directory}`, 'daemonize no', `sentinel myid ${idOf(index)}`],
    `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${master?.port} 2`,
    `sentinel down-after-milliseconds ${MASTER_NAME} 800`,
    `sentinel failover-timeout ${MASTER_NAME} 3000`,
    `sentinel parallel-syncs ${MASTER_NAME} 2`,
    ...replicas.map((replica) => `sentinel known-replica ${MASTER_NAME} 127.0.0.1 ${replica.port}`),
    ...others,
    ...(password === undefined ? [] : [`requirepass ${password}`, `sentinel sentinel-pass ${password}`]),
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  const program = findRedisServer()
  if (program === null) throw new Error('expected redis-server on the PATH, found none')
  const child = spawn('/bin/sh', ['-c', SENTINEL_WRAPPER, 'meltica-sentinel', program, file], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  const ended = once(child, 'exit')
  const auth = password === undefined ? {} : { password }
  const client = new Redis({ ...auth, port, host: '127.0.0.1', retryStrategy: () => 50, maxRetriesPerRequest: null })
  client.on('error', () => undefined)
  const stop = async (): Promise<void> => {
    client.disconnect()
    child.stdin?.end()
    await ended
    rmSync(directory, { recursive: true, force: true })
  }
  atEndOfFile(stop)
  await eventually(async () => (await client.ping().catch(() => null)) === 'PONG', READY_MS)
  for (const handle of [child, child.stdin]) (handle as { unref?: () => void } | null)?.unref?.()
  // Its usual periods are made for networks; on one machine a finding may be quicker.
  await client.call('SENTINEL', 'DEBUG', 'PING-PERIOD', '100', 'ASK-PERIOD', '200', 'INFO-PERIOD', '500')
  return { client, stop }
}

const SHIM = fileURLToPath(new URL('clock-shim.c', import.meta.url))

/**
 * Compiles what moves the clock of one process; null where there is no C compiler. (libfaketime and the jemalloc of
 * redis-server wait for each other for ever.)
 */
export async function buildClockShim(directory: string): Promise<string | null> {
  // It is made for the C library of this machine.
  if ((process.env.MELTICA_TEST_IMAGE ?? '') !== '') return null
  const library = join(directory, 'clock-shim.so')
  try {
    await promisify(execFile)('cc', ['-shared', '-fPIC', '-O1', '-o', library, SHIM])
    return library
  } catch {
    return null
  }
}

/** A folder in which `redis-server` is the one of this machine with its clock moved. */
function shimmedServer(library: string, aheadSeconds: number): string {
  const directory = mkdtempSync(join(tmpdir(), 'meltica-shim-'))
  const script = `#!/bin/sh\nLD_PRELOAD=${library} CLOCK_AHEAD_SECONDS=${aheadSeconds} exec ${findRedisServer()} "$@"\n`
  writeFileSync(join(directory, 'redis-server'), script, { mode: 0o755 })
  atEndOfFile(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** So many different free ports. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports = await Promise.all(
    servers.map(async (server) => {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      return (server.address() as { port: number }).port
    }),
  )
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

async function freePort(): Promise<number> {
  return (await freePorts(1))[0] as number
}
