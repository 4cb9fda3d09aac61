import { PerformanceObserver } from 'node:perf_hooks'
import { answerQuestions, type Mark, type WorkerAsked, type WorkerStart } from './messages.ts'

/** What a worker of the bench says of itself at a mark, beside what every process can be asked. */
export interface WorkerCounts {
  frames: number
  appended: number
  calls: number
  batches: number[]
  latencyUs: Mark['latencyUs']
  oddities: Record<string, number>
}

export interface BenchWorker {
  start(plan: WorkerStart): Promise<void>
  /** Frames taken so far. Adding them up takes a while with many streams, so it is asked when nothing is under way. */
  frames(): number
  idle(): boolean
  /** Counts since the start; batches and latency since the call before. */
  counts(): WorkerCounts
}

const LOOK_MS = 10

/** Runs a worker as a process of the bench: starts it, waits for it, and reads its CPU time at the marks. */
export function serveWorker(worker: BenchWorker): void {
  let gcMs = 0
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) gcMs += duration
  }).observe({ entryTypes: ['gc'] })

  const settle = async (frames: number): Promise<void> => {
    while (!worker.idle() || worker.frames() < frames) await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
  const mark = async (collect: boolean): Promise<Mark> => {
    if (collect) {
      for (let turn = 0; turn < 3; turn++) {
        globalThis.gc?.()
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
    // What the observer has not been told yet comes with the next turn of the loop.
    await new Promise((resolve) => setTimeout(resolve, 1))
    const { user, system } = process.cpuUsage()
    const { rss, heapUsed, external } = process.memoryUsage()
    return {
      cpuUs: user + system,
      wallMs: performance.now(),
      gcMs,
      rssBytes: rss,
      heapBytes: heapUsed,
      externalBytes: external,
      ...worker.counts(),
    }
  }
  answerQuestions(async (asked: WorkerAsked) => {
    switch (asked.type) {
      case 'start':
        return worker.start(asked)
      case 'settle':
        await settle(asked.frames)
        return { wallMs: performance.now() }
      case 'mark':
        return mark(asked.collect)
    }
  })
}
