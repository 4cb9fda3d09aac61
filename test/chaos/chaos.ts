import { setTimeout as delay } from 'node:timers/promises'
import { Operators } from './operators.ts'
import { describeHarm, type Harm, Profile, planHarms } from './plan.ts'
import { Readers } from './readers.ts'
import { System } from './system.ts'

export interface ChaosOptions {
  readonly seed: number
  readonly seconds: number
  readonly everyMs: number
  readonly profile: Profile
  readonly instruments: number
  readonly rate: number
  readonly say: (line: string) => void
}

export interface ChaosResult {
  readonly ok: boolean
  readonly harms: number
  /** What is wrong, each in words; the first wrong entry of each kind included. */
  readonly wrong: readonly string[]
  readonly timeLine: readonly string[]
  readonly figures: Readonly<Record<string, unknown>>
}

const ROLES = { ingest: 3, conductor: 2, poller: 2, gateway: 2 }
const PARTITIONS = 16
const READERS = 2
const SUBSCRIPTION_EVERY_MS = 2_000
/** The venue's weight per minute decides how long the last holes take. */
const HEAL_MS = 150_000
/** What is read to the end when nothing comes any more. */
const READ_MS = 4_000

/** Runs the whole system, harms it as planned, lets it heal, and judges what stands in Redis. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, seconds, everyMs, profile, instruments, rate, say } = options
  const growingFile = profile === Profile.FailOver
  const system = await System.open({ seed, instruments, rate, partitions: PARTITIONS, growingFile, roles: ROLES })
  const timeLine: string[] = []
  const wrong: string[] = []
  try {
    const streams = await system.streams('TRADE')
    const names = streams.map((stream) => stream.split(':').at(-2) as string)
    const symbols = names.map((name) => name.replace('-', '').toLowerCase())
    const harms = planHarms({ seed, seconds, everyMs, profile, processes: system.names, symbols })
    say(`seed ${seed}: ${harms.length} harms in ${seconds} s, profile ${profile}`)
    const readers = new Readers(system.redisUrl, streams, READERS)
    const operators = new Operators(system.gateways, names, {
      seed,
      everyMs: SUBSCRIPTION_EVERY_MS,
      mayLose: profile === Profile.FailOver,
    })
    await harmAsPlanned(system, harms, (line) => {
      timeLine.push(line)
      say(line)
    })
    await operators.close()
    if (operators.failure !== null) wrong.push(operators.failure)
    const commands = await operators.outcome()
    const open = await system.healed(HEAL_MS)
    if (open > 0) wrong.push(`${open} gaps stay open ${HEAL_MS} ms after the last harm`)
    const check = await system.verify()
    await delay(READ_MS)
    await readers.close()
    for (const stream of await system.streams('ORDERBOOK')) wrong.push(...(await system.judgeFused(stream)))
    for (const [kind, examples] of Object.entries(groupBy(check.examples))) wrong.push(`${kind}: ${examples}`)
    if (!check.ok && wrong.length === 0) wrong.push(JSON.stringify(check.wrong))
    for (const status of ['pending', 'applied', 'failed'])
      if (commands.byStatus[status]) wrong.push(`${commands.byStatus[status]} commands ended as ${status}`)
    for (const stream of streams) {
      const used = readers.used.get(stream)
      const missed = (await system.keysOf(stream)).filter((key) => !used?.has(key))
      if (missed.length > 0) wrong.push(`readers of ${stream} missed ${missed.length} entries, the first ${missed[0]}`)
    }
    const figures = {
      entries: check.entries,
      ...check.notes,
      commands,
      readers: { delivered: readers.delivered, failures: readers.failures },
    }
    return { ok: wrong.length === 0, harms: harms.length, wrong, timeLine, figures }
  } finally {
    await system.close()
  }
}

async function harmAsPlanned(system: System, harms: readonly Harm[], say: (line: string) => void): Promise<void> {
  const beganMs = performance.now()
  /** What is down or stands still now is left alone. */
  const under = new Set<string>()
  const done: Promise<void>[] = []
  for (const harm of harms) {
    await delay(Math.max(0, beganMs + harm.atMs - performance.now()))
    const target = 'process' in harm ? harm.process : (harm.kind.split('-')[0] as string)
    const isLeft = under.has(target)
    say(`${describeHarm(harm)}${isLeft ? ' (left out: it is down already)' : ''}`)
    if (isLeft) continue
    under.add(target)
    done.push(inflict(system, harm).finally(() => under.delete(target)))
  }
  await Promise.all(done)
}

async function inflict(system: System, harm: Harm): Promise<void> {
  const { redisProxy, venueProxy } = system
  switch (harm.kind) {
    case 'kill':
    case 'end':
      await system.end(harm.process, harm.kind === 'kill' ? 'SIGKILL' : 'SIGTERM')
      await delay(harm.downMs)
      system.start(harm.process)
      return
    case 'stop':
      system.signal(harm.process, 'SIGSTOP')
      await delay(harm.forMs)
      system.signal(harm.process, 'SIGCONT')
      return
    case 'redis-restart':
      await system.killRedis()
      await delay(harm.downMs)
      await system.startRedis()
      return
    case 'redis-behind':
      await system.restartRedisBehind(harm.behindMs, harm.downMs)
      return
    case 'redis-cut':
      redisProxy.cut()
      return
    case 'venue-cut':
      venueProxy.cut()
      return
    case 'venue-fault':
      await system.venueFault(harm.fault)
      return
    default: {
      const proxy = harm.kind === 'venue-late' ? venueProxy : redisProxy
      proxy.set(harm.kind === 'redis-silent' ? { blackhole: true } : { delayMs: harm.delayMs })
      await delay(harm.forMs)
      proxy.set({})
    }
  }
}

/** The first example of each kind, in words. */
function groupBy(examples: readonly { readonly kind: string }[]): Record<string, string> {
  const first: Record<string, string> = {}
  for (const example of examples) first[example.kind] ??= JSON.stringify(example)
  return first
}
