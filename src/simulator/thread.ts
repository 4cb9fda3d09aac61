import { enableCompileCache } from 'node:module'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { UnavailableError, UsageError } from '../errors.ts'
import type { Simulator, SimulatorPlan } from './simulator.ts'

/**
 * A simulated venue in a thread of its own, so that it and what it is to test do not wait for each other. This file is
 * both sides: imported it offers `startSimulatorThread`, as the entry of a worker it runs the venue.
 */

interface ThreadData {
  readonly simulatorPlan: SimulatorPlan
}

type Told =
  | {
      readonly type: 'listening'
      readonly ws: string
      readonly rest: string
      readonly streams: ReadonlySet<string> | null
    }
  | { readonly type: 'done' }
  | { readonly type: 'failed'; readonly usage: boolean; readonly message: string }
  | { readonly type: 'state'; readonly id: number; readonly state: Record<string, unknown> }

type Asked = { readonly type: 'state'; readonly id: number } | { readonly type: 'close' }

const CLOSE_MS = 5000

/** As `startSimulatorFrom`, with the same surface and the same errors. */
export function startSimulatorThread(plan: SimulatorPlan): Promise<Simulator> {
  const data: ThreadData = { simulatorPlan: plan }
  const worker = new Worker(new URL(import.meta.url), { workerData: data })
  const listening = Promise.withResolvers<Extract<Told, { type: 'listening' }>>()
  const done = Promise.withResolvers<void>()
  const exited = Promise.withResolvers<void>()
  const states = new Map<number, (state: Record<string, unknown>) => void>()
  let asked = 0
  done.promise.catch(() => {})

  const fail = (error: Error): void => {
    listening.reject(error)
    done.reject(error)
  }
  worker.on('message', (told: Told) => {
    switch (told.type) {
      case 'listening':
        listening.resolve(told)
        break
      case 'done':
        done.resolve()
        break
      case 'failed':
        fail(told.usage ? new UsageError(told.message) : new UnavailableError(told.message))
        break
      case 'state':
        states.get(told.id)?.(told.state)
        states.delete(told.id)
    }
  })
  worker.on('error', (cause) => {
    fail(new UnavailableError(`the simulated venue has failed: ${(cause as Error).message}`, { cause }))
  })
  worker.on('exit', () => {
    for (const answer of states.values()) answer({ closed: true })
    states.clear()
    exited.resolve()
  })

  const state = (): Promise<Record<string, unknown>> =>
    new Promise((resolve) => {
      states.set(++asked, resolve)
      worker.postMessage({ type: 'state', id: asked } satisfies Asked)
    })
  const close = async (): Promise<void> => {
    worker.postMessage({ type: 'close' } satisfies Asked)
    const timer = setTimeout(() => void worker.terminate(), CLOSE_MS)
    await exited.promise
    clearTimeout(timer)
  }
  return listening.promise.then(
    ({ ws, rest, streams }) => ({ ws, rest, streams, done: done.promise, state, close }),
    async (error) => {
      await close()
      throw error
    },
  )
}

async function runThread(plan: SimulatorPlan): Promise<void> {
  const port = parentPort
  if (port === null) return
  const tell = (told: Told): void => port.postMessage(told)
  const fail = (error: unknown): void => {
    tell({
      type: 'failed',
      usage: error instanceof UsageError,
      message: error instanceof Error ? error.message : String(error),
    })
  }
  let simulator: Simulator | null = null
  port.on('message', async (asked: Asked) => {
    if (asked.type === 'state') {
      tell({ type: 'state', id: asked.id, state: (await simulator?.state()) ?? {} })
      return
    }
    await simulator?.close()
    port.close()
  })
  try {
    // Loaded here alone, with what was compiled before; the thread that starts this one needs none of it.
    enableCompileCache()
    const { startSimulatorFrom } = await import('./simulator.ts')
    simulator = await startSimulatorFrom(plan)
    tell({ type: 'listening', ws: simulator.ws, rest: simulator.rest, streams: simulator.streams })
    await simulator.done
    tell({ type: 'done' })
  } catch (error) {
    fail(error)
  }
}

const entry = workerData as Partial<ThreadData> | null
if (!isMainThread && entry?.simulatorPlan) await runThread(entry.simulatorPlan)
