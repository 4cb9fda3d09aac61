import { join } from 'node:path'
import type { LatencyRun } from './report.ts'
import { Run, type Worker } from './runs.ts'
import { repeatFrames, type Source, writeTape } from './tape.ts'

export const SLOW = '500 events/s'
export const NAIVE_SLOW = `the naive way, ${SLOW}`
const SLOW_PER_SECOND = 500
const SLOW_SECONDS = 4
const HALF_SECONDS = 3
const NEAR_FULL_SECONDS = 0.8
/** At half load, before anything is measured: what was compiled at full speed is compiled anew for smaller calls. */
const WARM_UP_SECONDS = 1
const FAST_RUNS_MAX = 3
const NEAR_FULL = 0.85

/**
 * From the socket to the reply of the append script: at 500 events a second, at half of what the worker takes, and near all of
 * it. The naive way takes its turns at the same rates, from the socket to the answer to its pipeline: what the machine alone
 * does to a frame stands beside what we do.
 */
export async function measureLatency(
  source: Source,
  plan: { readonly warmUp: number; readonly fullPerSecond: number; readonly turns: number },
  folder: string,
  say: (text: string) => void,
): Promise<Record<string, LatencyRun[]>> {
  const { warmUp, fullPerSecond, turns } = plan
  const framesOf = (perSecond: number, seconds: number) => Math.round(perSecond * seconds)
  const slowFrames = framesOf(SLOW_PER_SECOND, SLOW_SECONDS)
  const [half, nearFull] = [fullPerSecond / 2, fullPerSecond * NEAR_FULL]
  const fastFrames = framesOf(half, HALF_SECONDS) + framesOf(nearFull, NEAR_FULL_SECONDS)
  const warmUpFrames = framesOf(half, WARM_UP_SECONDS)
  const count = warmUp + warmUpFrames + turns * slowFrames + Math.min(turns, FAST_RUNS_MAX) * fastFrames
  const tape = join(folder, 'tape-latency')
  const head = writeTape(tape, repeatFrames(source, count), source.origin)
  const found: Record<string, LatencyRun[]> = {}
  const opened: Run[] = []
  const open = async (worker: Worker): Promise<Run> => {
    const run = await Run.open(worker, tape, head)
    opened.push(run)
    await run.play(warmUp)
    await run.play(warmUpFrames, half)
    return run
  }
  const measure = async (run: Run, name: string, perSecond: number, seconds: number): Promise<void> => {
    const { latencyUs, batchMean, batchMax } = await run.play(framesOf(perSecond, seconds), perSecond)
    found[name] ??= []
    found[name].push({ ...latencyUs, perSecond, batchMean, batchMax })
    say(`${name}: p50 ${latencyUs.p50}, p99 ${latencyUs.p99}, p99.9 ${latencyUs.p999} us`)
  }
  try {
    const meltica = await open('meltica')
    const naive = await open('naive-timed')
    for (let turn = 0; turn < turns; turn++) {
      await measure(meltica, SLOW, SLOW_PER_SECOND, SLOW_SECONDS)
      await measure(naive, NAIVE_SLOW, SLOW_PER_SECOND, SLOW_SECONDS)
      if (turn >= FAST_RUNS_MAX) continue
      await measure(meltica, 'half load', half, HALF_SECONDS)
      await measure(naive, 'the naive way, half load', half, HALF_SECONDS)
      await measure(meltica, 'near full load', nearFull, NEAR_FULL_SECONDS)
    }
  } finally {
    for (const run of opened) await run.close()
  }
  return found
}
