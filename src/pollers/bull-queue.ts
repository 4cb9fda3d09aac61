import { type ConnectionOptions, type Job, Queue, Worker } from 'bullmq'
import { asInstrument, asMarket } from '../domain/instrument.ts'
import type { DuePoll, PollQueue, PollType, WantedPoll } from './poll.ts'

/** A client of Redis as `redis/` lends it. */
export type LentClient = ConnectionOptions & { disconnect(): void }

export interface BullQueueOptions {
  /** Lent by `redis/`; the queue closes them. A worker waits on the second, so nothing else may use it. */
  readonly client: LentClient
  readonly waitingClient: LentClient
  /** First part of every key of the queue, its hash tag included. */
  readonly prefix: string
  /** One queue for each venue. */
  readonly venue: string
  /** Polls that one process has under way. */
  readonly atOnceMax: number
  /** The queue or its worker failed and goes on trying. */
  readonly failed: (error: unknown) => void
}

/** A process that dies is noticed after so long, and its poll is handed to another. */
const LOCK_MS = 5_000
/** Between two looks for polls whose lock is over. */
const STALLED_LOOK_MS = 1_000
const ATTEMPTS = 3
const RETRY_MS = 500
/** What is kept of polls that ended, for people to look at. */
const KEPT_COMPLETED = 100
const KEPT_FAILED = 1_000
const EVENTS_KEPT = 1_000
/** How often a poll may be handed on because its process died. */
const HANDED_ON_MAX = 3
/** A schedule whose next time is so many intervals ago has lost it (Redis came back without) and is made anew. */
const LOST_INTERVALS = 3
const CLOSE_MS_MAX = 2_000
/** Holding the schedule against the table takes no longer; what is left is done the next time. */
const KEEP_MS_MAX = 20_000

interface JobData {
  readonly market: string
  readonly instrument: string
  readonly type: PollType
  readonly everyMs: number
}

/** The polls of one venue as BullMQ job schedulers. */
export class BullQueue implements PollQueue {
  readonly #options: BullQueueOptions
  readonly #queue: Queue
  #worker: Worker | null = null
  #isKeeping = false

  constructor(options: BullQueueOptions) {
    this.#options = options
    this.#queue = new Queue(`polls-${options.venue}`, {
      connection: options.client,
      prefix: options.prefix,
      streams: { events: { maxLen: EVENTS_KEPT } },
    })
    this.#queue.on('error', options.failed)
  }

  /** Rejects when it could not be done within 20 s, and while one that was given up is still under way. */
  async keep(wanted: readonly WantedPoll[]): Promise<{ added: number; removed: readonly string[] }> {
    if (this.#isKeeping) throw new Error('expected the schedule to be kept once at a time, found one under way')
    this.#isKeeping = true
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(
      () => reject(new Error(`expected the schedule to be kept within ${KEEP_MS_MAX} ms`)),
      KEEP_MS_MAX,
    )
    try {
      const kept = this.#keep(wanted).finally(() => {
        this.#isKeeping = false
      })
      return await Promise.race([kept, late])
    } finally {
      clearTimeout(timer)
    }
  }

  async #keep(wanted: readonly WantedPoll[]): Promise<{ added: number; removed: readonly string[] }> {
    const standing = new Map((await this.#queue.getJobSchedulers()).map((one) => [one.key, one]))
    let added = 0
    for (const { pollId, market, instrument, type, everyMs } of wanted) {
      const before = standing.get(pollId)
      standing.delete(pollId)
      const isLost = before !== undefined && (before.next ?? 0) < Date.now() - LOST_INTERVALS * everyMs
      if (before !== undefined && before.every === everyMs && !isLost) continue
      const data: JobData = { market, instrument, type, everyMs }
      const kept = { removeOnComplete: { count: KEPT_COMPLETED }, removeOnFail: { count: KEPT_FAILED } }
      const opts = { attempts: ATTEMPTS, backoff: { type: 'exponential', delay: RETRY_MS }, ...kept }
      await this.#queue.upsertJobScheduler(pollId, { every: everyMs }, { name: type, data, opts })
      added += 1
    }
    const removed = [...standing.keys()]
    for (const pollId of removed) await this.#queue.removeJobScheduler(pollId)
    return { added, removed }
  }

  work(handle: (due: DuePoll) => Promise<void>): void {
    const { waitingClient, prefix, atOnceMax, failed } = this.#options
    this.#worker = new Worker<JobData>(this.#queue.name, (job) => handle(dueOf(job)), {
      connection: waitingClient,
      prefix,
      concurrency: atOnceMax,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_LOOK_MS,
      maxStalledCount: HANDED_ON_MAX,
    })
    this.#worker.on('error', failed)
  }

  async close(): Promise<void> {
    // What takes longer is handed to another process when its lock is over.
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS_MAX)
    })
    await Promise.race([this.#closeParts(), late])
    clearTimeout(timer)
    this.#options.client.disconnect()
    this.#options.waitingClient.disconnect()
  }

  async #closeParts(): Promise<void> {
    try {
      await this.#worker?.close()
      await this.#queue.close()
    } catch (error) {
      this.#options.failed(error)
    }
  }
}

function dueOf(job: Job<JobData>): DuePoll {
  const { market, instrument, type, everyMs } = job.data
  return {
    ...{
      pollId: job.repeatJobKey ?? '',
      market: asMarket(market),
      instrument: asInstrument(instrument),
      type,
      everyMs,
    },
    // When it was to be run, wherever and however late it is.
    dueMs: job.timestamp + (job.opts.delay ?? 0),
    isLastAttempt: job.attemptsMade + 1 >= ATTEMPTS,
  }
}
