import { join } from 'node:path'
import { type GrowthStep, median } from './report.ts'
import { Run, type Section } from './runs.ts'
import { dealFrames, type Source, writeTape } from './tape.ts'

/** Until every book has its snapshot and the backlog of the beginning is worked off, and at the measured rate behind it. */
const WARM_UP = 30_000
const WARM_UP_PACED = 30_000

interface Step {
  readonly instruments: number
  readonly run: Run
  readonly sections: Section[]
}

/**
 * The same frames a second dealt to more and more instruments, each with a book of 1,000 levels a side that began with a
 * snapshot. They are measured in turns, so that a machine that is busy now is busy for all; ratios are those of a turn.
 * Memory is what the worker holds after the collector ran, above what it holds for the fewest instruments.
 */
export async function measureGrowth(
  source: Source,
  counts: readonly number[],
  plan: { readonly frames: number; readonly perSecond: number; readonly turns: number },
  folder: string,
  say: (text: string) => void,
): Promise<GrowthStep[]> {
  const { frames, perSecond, turns } = plan
  const framesATurn = Math.floor(frames / turns)
  const steps: Step[] = []
  try {
    for (const instruments of counts) {
      const tape = join(folder, `tape-${instruments}`)
      const story = dealFrames(source, instruments, WARM_UP + WARM_UP_PACED + turns * framesATurn)
      const run = await Run.open('meltica', tape, writeTape(tape, story, 'dealt'))
      steps.push({ instruments, run, sections: [] })
      await run.play(WARM_UP)
      await run.play(WARM_UP_PACED, perSecond)
    }
    for (let turn = 0; turn < turns; turn++) {
      for (const { instruments, run, sections } of steps) {
        const section = await run.play(framesATurn, perSecond)
        sections.push(section)
        const { workerUs, redisUs, end } = section
        const figures = `worker ${workerUs.toFixed(2)} us, Redis ${redisUs.toFixed(2)} us`
        say(`turn ${turn + 1}, ${instruments} instruments: ${figures}, ${JSON.stringify(end.oddities)}`)
      }
    }
    return await foundIn(steps)
  } finally {
    for (const { run } of steps) await run.close()
  }
}

async function foundIn(steps: readonly Step[]): Promise<GrowthStep[]> {
  const found: GrowthStep[] = []
  const [fewest] = steps
  let leastBytes = 0
  for (const step of steps) {
    const { instruments, run, sections } = step
    const { heapBytes, externalBytes } = await run.memory()
    if (step === fewest) leastBytes = heapBytes + externalBytes
    const more = instruments - (fewest?.instruments ?? 0)
    const of = (read: (section: Section) => number) => median(sections.map(read))
    const ratioOf = (read: (section: Section) => number) =>
      median(sections.map((section, turn) => read(section) / read(fewest?.sections[turn] as Section)))
    found.push({
      instruments,
      perSecond: of((section) => section.eventsPerSecond),
      workerUs: of((section) => section.workerUs),
      workerRatio: ratioOf((section) => section.workerUs),
      redisUs: of((section) => section.redisUs),
      redisRatio: ratioOf((section) => section.redisUs),
      batchMean: of((section) => section.batchMean),
      memoryBytesPerInstrument: more === 0 ? null : (heapBytes + externalBytes - leastBytes) / more,
    })
  }
  return found
}
