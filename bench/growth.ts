import { join } from 'node:path'
import type { GrowthStep } from './report.ts'
import { Run } from './runs.ts'
import { dealFrames, type Source, writeTape } from './tape.ts'

const WARM_UP = 30_000

/**
 * The same frames a second dealt to more and more instruments, each with a book of 1,000 levels a side that began with a
 * snapshot. Memory is what the worker holds after the collector ran, above what it holds for the fewest instruments.
 */
export async function measureGrowth(
  source: Source,
  steps: readonly number[],
  frames: number,
  perSecond: number,
  folder: string,
  say: (text: string) => void,
): Promise<GrowthStep[]> {
  const found: GrowthStep[] = []
  let fewest: { instruments: number; bytes: number } | null = null
  for (const instruments of steps) {
    const tape = join(folder, `tape-${instruments}`)
    const head = writeTape(tape, dealFrames(source, instruments, WARM_UP + frames), 'dealt')
    const run = await Run.open('meltica', tape, head)
    try {
      await run.play(WARM_UP)
      const section = await run.play(frames, perSecond)
      const { heapBytes, externalBytes } = await run.memory()
      const bytes = heapBytes + externalBytes
      fewest ??= { instruments, bytes }
      const more = instruments - fewest.instruments
      const step = {
        instruments,
        perSecond: section.eventsPerSecond,
        workerUs: section.workerUs,
        redisUs: section.redisUs,
        batchMean: section.batchMean,
        memoryBytesPerInstrument: more === 0 ? null : (bytes - fewest.bytes) / more,
      }
      found.push(step)
      say(
        `${instruments} instruments: worker ${step.workerUs.toFixed(2)} us, Redis ${step.redisUs.toFixed(2)} us, ` +
          `${JSON.stringify(section.end.oddities)}`,
      )
    } finally {
      await run.close()
    }
  }
  return found
}
