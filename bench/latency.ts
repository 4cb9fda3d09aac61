import type { LatencyRun } from './report.ts'
import { Run } from './runs.ts'
import type { TapeHead } from './tape.ts'

const SLOW_PER_SECOND = 500
const SLOW_SECONDS = 4
const FAST_SECONDS = 0.8
const FAST_RUNS_MAX = 3
const NEAR_FULL = 0.85

/** From the socket to the reply of the append script: at 500 events a second, at half of what the worker takes, and near all of it. */
export async function measureLatency(
  tape: string,
  head: TapeHead,
  warmUp: number,
  fullPerSecond: number,
  runs: number,
  say: (text: string) => void,
): Promise<Record<string, LatencyRun[]>> {
  const run = await Run.open('meltica', tape, head)
  const found: Record<string, LatencyRun[]> = { '500 events/s': [], 'half load': [], 'near full load': [] }
  try {
    await run.play(warmUp)
    const measure = async (name: string, perSecond: number, seconds: number): Promise<void> => {
      const { latencyUs, batchMean, batchMax } = await run.play(Math.round(perSecond * seconds), perSecond)
      found[name]?.push({ ...latencyUs, perSecond, batchMean, batchMax })
      say(`${name}: p50 ${latencyUs.p50}, p99 ${latencyUs.p99}, p99.9 ${latencyUs.p999} us`)
    }
    for (let turn = 0; turn < runs; turn++) {
      await measure('500 events/s', SLOW_PER_SECOND, SLOW_SECONDS)
      if (turn >= FAST_RUNS_MAX) continue
      await measure('half load', fullPerSecond / 2, FAST_SECONDS)
      await measure('near full load', fullPerSecond * NEAR_FULL, FAST_SECONDS)
    }
  } finally {
    await run.close()
  }
  return found
}
