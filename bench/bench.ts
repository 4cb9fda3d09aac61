import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { conductorLines, measureConductor } from './conductor.ts'
import { measureDrain } from './drain.ts'
import { measureGrowth } from './growth.ts'
import { measureLatency, NAIVE_SLOW, SLOW } from './latency.ts'
import { type Cost, comparison, median, type PairOfRuns, type Report, table } from './report.ts'
import { benchmarkXadd, entryFields, openRedis, Run, type Section } from './runs.ts'
import { measureSizes } from './sizes.ts'
import { loadSource, repeatFrames, type TapeHead, writeTape } from './tape.ts'

/**
 * `npm run bench`: what an event costs, beside what it would cost to promise nothing. Everything is real: a venue in its
 * own process, the worker in its own, a private Redis. Runs of the naive way and of Meltica alternate, so that a machine
 * that is busy now is busy for both; only ratios within one bench mean anything on a shared machine.
 */
const HELP = `Usage: npm run bench -- [options]
  --quick           fewer frames and runs, for a check
  --only a,b        parts: cost, latency, growth, sizes, drain, conductor (default all)
  --json            the last line is the report as JSON
  --out FILE        also write the report there, for --compare
  --compare FILE    print every number beside the one in this report`

interface Plan {
  readonly frames: number
  readonly warmUp: number
  readonly runs: number
  readonly growth: readonly number[]
  readonly growthFrames: number
  readonly drainFrames: number
}

const WHOLE: Plan = {
  frames: 300_000,
  warmUp: 50_000,
  runs: 5,
  growth: [10, 100, 1_000, 2_000],
  growthFrames: 120_000,
  drainFrames: 180_000,
}
const QUICK: Plan = { frames: 90_000, warmUp: 30_000, runs: 1, growth: [10, 200], growthFrames: 30_000, drainFrames: 0 }

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      out: { type: 'string' },
      compare: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(HELP)
    return
  }
  const base: unknown = values.compare === undefined ? null : lastJson(values.compare)
  const parts = new Set(values.only?.split(',') ?? ['cost', 'latency', 'growth', 'sizes', 'drain', 'conductor'])
  const folder = mkdtempSync(join(tmpdir(), 'meltica-bench-'))
  try {
    const report = await measure(values.quick ? QUICK : WHOLE, parts, folder)
    console.log(`\n${table(report)}`)
    if (report.conductor !== null) console.log(`\n${conductorLines(report.conductor).join('\n')}`)
    if (base !== null) console.log(`\n${comparison(base, report)}`)
    if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(report)}\n`)
    if (values.json) console.log(JSON.stringify(report))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function measure(plan: Plan, parts: ReadonlySet<string>, folder: string): Promise<Report> {
  const source = await loadSource()
  const tape = join(folder, 'tape')
  const story = repeatFrames(source, plan.frames)
  const head = writeTape(tape, story, source.origin)
  say(`${head.frames} frames of ${source.origin}, ${plan.warmUp} of them to warm up`)

  const costs = await measureCosts(plan, tape, head, parts.has('cost') ? plan.runs : 1)
  const full = median(costs.runs.map((run) => run.meltica.eventsPerSecond))
  const latency = parts.has('latency')
    ? await measureLatency(source, { warmUp: plan.warmUp, fullPerSecond: full, turns: plan.runs }, folder, say)
    : {}
  const growth = parts.has('growth')
    ? await measureGrowth(
        source,
        plan.growth,
        { frames: plan.growthFrames, perSecond: full / 4, turns: plan.runs },
        folder,
        say,
      )
    : []
  const sizes = parts.has('sizes') ? await measureSizes() : null
  const drain =
    parts.has('drain') && plan.drainFrames > 0
      ? await measureDrain(story.frames.slice(0, plan.drainFrames), head, folder)
      : null
  const conductor = parts.has('conductor') ? await measureConductor(plan === QUICK, say) : null

  const of = (read: (run: PairOfRuns) => number) => median(costs.runs.map(read))
  const quantilesOf = (name: string) => {
    const list = latency[name] ?? []
    const middle = (quantile: 'p50' | 'p99' | 'p999') => median(list.map((run) => run[quantile]))
    return { p50: middle('p50'), p99: middle('p99'), p999: middle('p999') }
  }
  return {
    workerRatio: of((run) => run.meltica.workerUs / run.naive.workerUs),
    redisRatio: of((run) => run.meltica.redisUs / run.xadd14Us),
    eventsPerSecond: full,
    workerUs: of((run) => run.meltica.workerUs),
    redisUs: of((run) => run.meltica.redisUs),
    latencyUs: quantilesOf(SLOW),
    naiveLatencyUs: quantilesOf(NAIVE_SLOW),
    machine: machine(source.origin),
    runs: costs.runs,
    limits: costs.limits,
    batches: costs.batches,
    gcShare: of((run) => run.meltica.gcShare),
    bytesPerEvent: sizes === null ? {} : { ...sizes },
    latency,
    growth,
    drain,
    conductor,
  }
}

async function measureCosts(plan: Plan, tape: string, head: TapeHead, count: number) {
  const runs: PairOfRuns[] = []
  let last: Section | null = null
  const perSecond = { xadd1: 0, xadd14: 0 }
  let xadd1Us = 0
  for (let turn = 0; turn < count; turn++) {
    const redis = await openRedis()
    const one = await benchmarkXadd(redis, ['frame', 'x'.repeat(200)], 100_000, 64)
    const fourteen = await benchmarkXadd(redis, entryFields(), 100_000, 64)
    await redis.stop()
    xadd1Us = one.us
    perSecond.xadd1 = one.perSecond
    perSecond.xadd14 = fourteen.perSecond
    const naive = await wholeRun('naive', tape, head, plan.warmUp)
    last = await wholeRun('meltica', tape, head, plan.warmUp)
    runs.push({ naive: costOf(naive), meltica: costOf(last), xadd14Us: fourteen.us })
    say(
      `run ${turn + 1}: naive ${naive.workerUs.toFixed(2)} us, Meltica ${last.workerUs.toFixed(2)} us ` +
        `(${(last.workerUs / naive.workerUs).toFixed(2)}); Redis: XADD ${fourteen.us.toFixed(2)} us, ` +
        `Meltica ${last.redisUs.toFixed(2)} us (${(last.redisUs / fourteen.us).toFixed(2)})`,
    )
  }
  const parse = await wholeRun('parse-only', tape, head, plan.warmUp)
  return {
    runs,
    limits: {
      xadd1: { workerUs: null, redisUs: xadd1Us, perSecond: perSecond.xadd1 },
      xadd14: { workerUs: null, redisUs: median(runs.map((run) => run.xadd14Us)), perSecond: perSecond.xadd14 },
      parse: { workerUs: parse.workerUs, redisUs: null, perSecond: parse.eventsPerSecond },
    },
    batches: { mean: last?.batchMean ?? 0, median: last?.batchMedian ?? 0, max: last?.batchMax ?? 0 },
  }
}

async function wholeRun(
  worker: 'meltica' | 'naive' | 'parse-only',
  tape: string,
  head: TapeHead,
  warmUp: number,
): Promise<Section> {
  const run = await Run.open(worker, tape, head)
  try {
    await run.play(warmUp)
    const section = await run.play(head.frames - warmUp)
    const { stale: _, ...odd } = section.end.oddities
    // A run that lost or refused anything would measure something else.
    if (Object.keys(odd).length > 0) throw new Error(`expected every event in its stream, found ${JSON.stringify(odd)}`)
    return section
  } finally {
    await run.close()
  }
}

function costOf({ workerUs, redisUs, eventsPerSecond, gcShare }: Section): Cost {
  return { workerUs, redisUs, eventsPerSecond, gcShare }
}

function machine(origin: string): Record<string, string | number> {
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${process.arch}`,
    node: process.version,
    redis: /v=(\S+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown',
    frames: origin,
  }
}

/** The last line of a file that is a report; what `--json` printed can be given as it was saved. */
function lastJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8').trim().split('\n').at(-1) ?? 'null')
}

function say(text: string): void {
  console.log(text)
}

await main()
