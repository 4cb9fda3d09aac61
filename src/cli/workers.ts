import type { ClusterRole, Member } from '../cluster/member-store.ts'
import { formatPartitions } from '../domain/partition-set.ts'
import type { CommandContext, CommandHost } from './context.ts'
import { openRedis } from './redis.ts'
import { table } from './table.ts'

const OWNED_CHARACTERS_MAX = 40
const ROLES: readonly ClusterRole[] = ['ingest', 'conductor', 'poller', 'reader']

export function registerWorkers({ program, run }: CommandHost): void {
  const command = program
    .command('workers')
    .description('Shows who is there, what each owns, since when it flows, and how much it lags.')
    .addHelpText(
      'after',
      '\nExamples:\n  $ meltica workers --redis redis://localhost:6379\n  $ meltica workers --json\n' +
        '\nA worker that fell silent is shown as gone for a minute. Lag is the longest time from the arrival of a frame to\n' +
        "Redis's reply since the heartbeat before, of a conductor the age of the oldest entry that it has not folded; or how\n" +
        'late the heartbeat was. --json tells all partitions that each owns.',
    )
  run(command, showWorkers)
}

async function showWorkers(context: CommandContext): Promise<number> {
  const { config } = await context.load()
  const [{ RedisMembers }, { Keys }] = await Promise.all([import('../redis/members.ts'), import('../redis/keys.ts')])
  const connection = await openRedis(config, 'command')
  try {
    const store = new RedisMembers(connection, new Keys(config.prefix, config.partitions))
    const rows = []
    for (const role of ROLES) {
      const members = [...(await store.list(role))].sort((a, b) => (a.id < b.id ? -1 : 1))
      for (const member of members) rows.push(describe(role, member, config.cluster.expiryMs))
    }
    if (context.json) for (const row of rows) context.write(`${JSON.stringify(row)}\n`)
    else {
      const header = ['worker', 'role', 'state', 'partitions', 'flowing', 'flows since', 'lag', 'up', 'version', 'owns']
      const cells = rows.map((row) => [
        ...[row.worker, row.role, row.state, String(row.partitions), String(row.flowing)],
        row.flowsSince === null ? '-' : row.flowsSince.slice(0, 19).replace('T', ' '),
        row.lagMs === null ? '-' : `${row.lagMs} ms`,
        ...[`${row.upSeconds} s`, row.version, shortened(row.owned)],
      ])
      context.write(table(header, cells, [3, 4, 6, 7]))
      const live = rows.filter(({ state }) => state !== 'gone').length
      context.write(`${live} workers in ${config.prefix} at ${connection.address}\n`)
    }
    return 0
  } finally {
    connection.close()
  }
}

/** Ranges of partitions as far as they fit a line; `--json` has them all. */
function shortened(owned: string): string {
  if (owned.length <= OWNED_CHARACTERS_MAX) return owned === '' ? '-' : owned
  return `${owned.slice(0, owned.lastIndexOf(',', OWNED_CHARACTERS_MAX) + 1)}...`
}

function describe(role: ClusterRole, { id, startedUs, ageMs, state, facts }: Member, expiryMs: number) {
  const { version, owns, flows, flowsSinceUs, lagMs } = facts
  return {
    worker: id,
    role,
    state: ageMs < expiryMs ? state : ('gone' as const),
    partitions: owns.size,
    flowing: flows.size,
    owned: formatPartitions(owns),
    flowsSince: flowsSinceUs === null ? null : new Date(flowsSinceUs / 1_000).toISOString(),
    lagMs,
    /** Since the last heartbeat. */
    silentMs: Math.round(ageMs),
    upSeconds: Math.max(0, Math.round((Date.now() - startedUs / 1_000) / 1_000)),
    version,
  }
}
