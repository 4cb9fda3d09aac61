import { type ChildProcess, fork } from 'node:child_process'

/** What the bench asks of its processes, and what they answer. Each question is answered once, in order. */
export type VenueAsked =
  | { readonly type: 'open'; readonly tape: string }
  /** Play on up to this many frames in all. */
  | { readonly type: 'play'; readonly to: number; readonly perSecond: number | null }
export interface VenueOpened {
  readonly ws: string
  readonly rest: string
}

export interface WorkerStart {
  readonly type: 'start'
  readonly ws: string
  readonly rest: string
  readonly streams: readonly string[]
  readonly redisUrl: string
  /** Entries kept a stream, about; null keeps all. */
  readonly maxLength: number | null
}
export type WorkerAsked =
  | WorkerStart
  /** Answer when so many frames were taken and nothing waits. */
  | { readonly type: 'settle'; readonly frames: number }
  | { readonly type: 'mark'; readonly collect: boolean }

/** The worker's counters at a moment; differences of two are what is reported. */
export interface Mark {
  readonly cpuUs: number
  readonly wallMs: number
  readonly gcMs: number
  readonly frames: number
  /** Entries that the streams took, and calls to Redis that carried them. */
  readonly appended: number
  readonly calls: number
  /** Offers of every call since the mark before. */
  readonly batches: readonly number[]
  readonly rssBytes: number
  readonly heapBytes: number
  readonly externalBytes: number
  /** Since the mark before; zeros where none is measured. */
  readonly latencyUs: { readonly p50: number; readonly p99: number; readonly p999: number }
  /** Anything that went another way than plainly into its stream; empty in a sound run. */
  readonly oddities: Readonly<Record<string, number>>
}

/** A process of the bench; the bench speaks, the process answers. */
export class Companion {
  readonly #child: ChildProcess
  readonly #waiting: ((answer: unknown) => void)[] = []
  readonly #failed: Promise<never>

  constructor(file: string, execArgv: readonly string[] = [], args: readonly string[] = []) {
    this.#child = fork(new URL(file, import.meta.url), [...args], {
      execArgv: [...execArgv],
      serialization: 'advanced',
    })
    this.#child.on('message', (answer) => this.#waiting.shift()?.(answer))
    this.#failed = new Promise<never>((_, reject) => {
      this.#child.once('exit', (code) => reject(new Error(`${file} ended with code ${code}`)))
    })
    this.#failed.catch(() => {})
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  ask<Answer>(message: VenueAsked | WorkerAsked): Promise<Answer> {
    const answer = new Promise<Answer>((resolve) => this.#waiting.push(resolve as (answer: unknown) => void))
    this.#child.send(message)
    return Promise.race([answer, this.#failed])
  }

  async end(): Promise<void> {
    const gone = this.#failed.catch(() => {})
    this.#child.disconnect()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5_000)
    await gone
    clearTimeout(timer)
  }
}

/** The other side: answers every question, and ends when the bench is gone. */
export function answerQuestions(answer: (asked: never) => Promise<unknown>): void {
  process.on('message', (asked) => {
    answer(asked as never).then(
      (answered) => process.send?.(answered ?? null),
      (error: unknown) => {
        process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
        process.exit(1)
      },
    )
  })
  process.on('disconnect', () => process.exit(0))
}
