import { setTimeout as delay } from 'node:timers/promises'
import type { Fleet } from './fleet.ts'

/** What is done to a worker; every one of them is there again a while later, with the same id. */
export const Harm = { Kill: 'kill', Replace: 'replace', Stop: 'stop', End: 'end', Restart: 'restart' } as const
export type Harm = (typeof Harm)[keyof typeof Harm]

export interface ChaosOptions {
  readonly seconds: number
  readonly seed: number
  readonly harms?: readonly Harm[]
  /** How long a worker stands still. */
  readonly stopMs: number
  /** Longest pause between two harms, and until a worker that was ended is started again. */
  readonly pauseMsMax: number
  /** Workers that are harmed at the same time, at most. */
  readonly atOnceMax: number
}

export interface Kill {
  readonly worker: string
  /** Redis's clock. */
  readonly atMs: number
  /** What it owned alone; with a second owner a stream does not stop. */
  readonly partitions: ReadonlySet<number>
  /** Whether nobody else was harmed from the expiry before to the time in which the streams are to flow again. */
  readonly alone: boolean
}

export interface ChaosReport {
  readonly harms: Readonly<Record<string, number>>
  readonly kills: readonly Kill[]
  /** Of the processes that were asked to end. */
  readonly ends: readonly { readonly code: number | null; readonly ms: number }[]
}

/** Silence after which a member is gone, and what a new one may take until its part flows. */
const AROUND_KILL_BEFORE_MS = 2_500
const AROUND_KILL_AFTER_MS = 3_000

/** A generator of numbers in [0, 1) from a seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Harms the workers of a fleet at random for a while, and leaves all of them running. */
export async function harmAtRandom(fleet: Fleet, options: ChaosOptions): Promise<ChaosReport> {
  const random = randomFrom(options.seed)
  const kinds = options.harms ?? Object.values(Harm)
  const workers = [...fleet.workers]
  const under = new Map<string, Promise<void>>()
  const spans: { readonly worker: string; readonly fromMs: number; toMs: number }[] = []
  const kills: { worker: string; atMs: number; partitions: ReadonlySet<number> }[] = []
  const ends: { code: number | null; ms: number }[] = []
  const harms: Record<string, number> = {}
  const endMs = performance.now() + options.seconds * 1_000

  const harm = async (worker: string, kind: Harm, pauseMs: number): Promise<void> => {
    const span = { worker, fromMs: await fleet.nowMs(), toMs: Number.POSITIVE_INFINITY }
    spans.push(span)
    if (kind === Harm.Stop) {
      fleet.signal(worker, 'SIGSTOP')
      await delay(options.stopMs)
      fleet.signal(worker, 'SIGCONT')
    } else if (kind === Harm.Kill || kind === Harm.Replace) {
      const partitions = await fleet.ownedAlone(worker)
      kills.push({ worker, atMs: await fleet.nowMs(), partitions })
      await fleet.end(worker, 'SIGKILL')
      if (kind === Harm.Kill) await delay(pauseMs)
      fleet.startWorker(worker)
    } else {
      ends.push(await fleet.end(worker, 'SIGTERM'))
      if (kind === Harm.End) await delay(pauseMs)
      fleet.startWorker(worker)
    }
    await fleet.works(worker)
    span.toMs = await fleet.nowMs()
  }

  while (performance.now() < endMs) {
    const free = workers.filter((worker) => !under.has(worker))
    const worker = free[Math.floor(random() * free.length)]
    const kind = kinds[Math.floor(random() * kinds.length)] as Harm
    const pauseMs = random() * options.pauseMsMax
    if (worker !== undefined && under.size < options.atOnceMax) {
      harms[kind] = (harms[kind] ?? 0) + 1
      under.set(
        worker,
        harm(worker, kind, pauseMs).finally(() => under.delete(worker)),
      )
    }
    await Promise.race([delay(random() * options.pauseMsMax), ...failuresOf(under)])
  }
  await Promise.all(under.values())
  const report = kills.map((kill) => ({ ...kill, alone: spans.every((span) => !touches(span, kill)) }))
  return { harms, kills: report, ends }
}

/** Never resolves, and rejects when one of them does. */
function failuresOf(under: ReadonlyMap<string, Promise<void>>): Promise<never>[] {
  return [...under.values()].map((done) => done.then(() => new Promise<never>(() => undefined)))
}

function touches(
  span: { worker: string; fromMs: number; toMs: number },
  kill: { worker: string; atMs: number },
): boolean {
  if (span.worker === kill.worker) return false
  return span.fromMs <= kill.atMs + AROUND_KILL_AFTER_MS && span.toMs >= kill.atMs - AROUND_KILL_BEFORE_MS
}
