import type { ConductorCosts } from './conductor.ts'

/** Numbers of one bench, in plain JSON: what `--json` prints and what `--compare` reads. */
export interface Report {
  readonly workerRatio: number
  readonly redisRatio: number
  readonly eventsPerSecond: number
  readonly workerUs: number
  readonly redisUs: number
  /** At 500 events a second; of the naive way the same, in turns with it. */
  readonly latencyUs: Quantiles
  readonly naiveLatencyUs: Quantiles
  readonly machine: Readonly<Record<string, string | number>>
  readonly runs: readonly PairOfRuns[]
  readonly limits: Readonly<Record<'xadd1' | 'xadd14' | 'parse', Limit>>
  readonly batches: { readonly mean: number; readonly median: number; readonly max: number }
  readonly gcShare: number
  readonly bytesPerEvent: Readonly<Record<string, number | string>>
  readonly latency: Readonly<Record<string, readonly LatencyRun[]>>
  readonly growth: readonly GrowthStep[]
  readonly drain: { readonly frames: number; readonly seconds: number } | null
  readonly conductor: ConductorCosts | null
}

export interface Quantiles {
  readonly p50: number
  readonly p99: number
  readonly p999: number
}

export interface PairOfRuns {
  readonly naive: Cost
  readonly meltica: Cost
  readonly xadd14Us: number
}

export interface Cost {
  readonly workerUs: number
  readonly redisUs: number
  readonly eventsPerSecond: number
  readonly gcShare: number
}

export interface Limit {
  readonly workerUs: number | null
  readonly redisUs: number | null
  readonly perSecond: number
}

export interface LatencyRun extends Quantiles {
  readonly perSecond: number
  readonly batchMean: number
  readonly batchMax: number
}

export interface GrowthStep {
  readonly instruments: number
  readonly perSecond: number
  readonly workerUs: number
  readonly redisUs: number
  /** To those of the fewest instruments, turn by turn. */
  readonly workerRatio: number
  readonly redisRatio: number
  readonly batchMean: number
  readonly memoryBytesPerInstrument: number | null
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2
}

/** Median and, in brackets, the least and the greatest. */
export function spread(values: readonly number[], digits = 2): string {
  const [least, greatest] = [Math.min(...values), Math.max(...values)]
  return `${median(values).toFixed(digits)} (${least.toFixed(digits)}-${greatest.toFixed(digits)})`
}

const count = (value: number): string => Math.round(value).toLocaleString('en-US')

/** One table of everything, for people and for `docs/performance.md`. */
export function table(report: Report): string {
  const { runs, limits, batches, bytesPerEvent, growth } = report
  const of = (who: 'naive' | 'meltica', what: keyof Cost) => runs.map((run) => run[who][what])
  const rows: [string, string, string, string, string][] = [
    ['', 'worker us/event', 'Redis us/event', 'events/s', 'notes'],
    [
      'redis-benchmark XADD, 1 field',
      '',
      (limits.xadd1.redisUs ?? 0).toFixed(2),
      count(limits.xadd1.perSecond),
      'pipelined by 64',
    ],
    [
      'redis-benchmark XADD, 14 fields',
      '',
      spread(runs.map((run) => run.xadd14Us)),
      count(limits.xadd14.perSecond),
      'pipelined by 64',
    ],
    ['ws + JSON.parse alone', (limits.parse.workerUs ?? 0).toFixed(2), '', count(limits.parse.perSecond), ''],
    [
      'the naive way',
      spread(of('naive', 'workerUs')),
      spread(of('naive', 'redisUs')),
      count(median(of('naive', 'eventsPerSecond'))),
      `GC ${percent(median(of('naive', 'gcShare')))}`,
    ],
    [
      'Meltica',
      spread(of('meltica', 'workerUs')),
      spread(of('meltica', 'redisUs')),
      count(median(of('meltica', 'eventsPerSecond'))),
      `GC ${percent(report.gcShare)}, events a call: mean ${batches.mean.toFixed(0)}, median ${batches.median}, max ${batches.max}`,
    ],
    [
      'ratio to naive / to XADD 14',
      spread(runs.map((run) => run.meltica.workerUs / run.naive.workerUs)),
      spread(runs.map((run) => run.meltica.redisUs / run.xadd14Us)),
      '',
      '',
    ],
  ]
  for (const step of growth) {
    const memory = step.memoryBytesPerInstrument
    rows.push([
      `${count(step.instruments)} instruments`,
      `${step.workerUs.toFixed(2)} (x ${step.workerRatio.toFixed(2)})`,
      `${step.redisUs.toFixed(2)} (x ${step.redisRatio.toFixed(2)})`,
      count(step.perSecond),
      `events a call: mean ${step.batchMean.toFixed(1)}${memory === null ? '' : `, ${(memory / 1000).toFixed(1)} kB of worker memory an instrument`}`,
    ])
  }
  const lines = [markdown(rows), '']
  const latencyRows: string[][] = [['latency, us', 'events/s', 'p50', 'p99', 'p99.9', 'events a call']]
  for (const [name, list] of Object.entries(report.latency)) {
    latencyRows.push([
      name,
      count(median(list.map((run) => run.perSecond))),
      spread(
        list.map((run) => run.p50),
        0,
      ),
      spread(
        list.map((run) => run.p99),
        0,
      ),
      spread(
        list.map((run) => run.p999),
        0,
      ),
      `mean ${median(list.map((run) => run.batchMean)).toFixed(1)}, max ${Math.max(...list.map((run) => run.batchMax))}`,
    ])
  }
  lines.push(markdown(latencyRows), '')
  lines.push(
    markdown([
      ['Redis bytes an event', ''],
      ...Object.entries(bytesPerEvent).map(([name, value]) => [
        name,
        typeof value === 'number' ? value.toFixed(0) : value,
      ]),
    ]),
    '',
  )
  if (report.drain !== null) {
    lines.push(
      `start --replay --speed max --until-done: ${count(report.drain.frames)} frames in ${report.drain.seconds.toFixed(2)} s from process start`,
    )
  }
  lines.push(
    Object.entries(report.machine)
      .map(([name, value]) => `${name}: ${value}`)
      .join(' · '),
  )
  return lines.join('\n')
}

/** Every number of both reports side by side with its ratio, by path. */
export function comparison(base: unknown, now: unknown): string {
  const before = new Map(numbersOf(base))
  const rows = [['', 'base', 'now', 'now / base']]
  for (const [path, value] of numbersOf(now)) {
    const was = before.get(path)
    if (was === undefined || path.startsWith('machine.') || path.startsWith('runs.')) continue
    rows.push([path, String(round(was)), String(round(value)), was === 0 ? '-' : (value / was).toFixed(2)])
  }
  return markdown(rows)
}

function numbersOf(value: unknown, path = ''): [string, number][] {
  if (typeof value === 'number') return [[path, value]]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) => numbersOf(inner, path === '' ? name : `${path}.${name}`))
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`
}

function round(value: number): number {
  return Number(value.toPrecision(5))
}

export function markdown(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((row) => (row[column] ?? '').length)))
  const line = (row: readonly string[]) =>
    `| ${widths.map((width, column) => (row[column] ?? '').padEnd(width)).join(' | ')} |`
  const [head = [], ...body] = rows
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body.map(line)].join('\n')
}
