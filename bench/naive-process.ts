import { Redis } from 'ioredis'
import { WebSocket } from 'ws'
import { SystemClock } from '../src/lib/clock.ts'
import { LatencyRecorder } from '../src/telemetry/latency.ts'
import type { WorkerStart } from './messages.ts'
import { type BenchWorker, serveWorker } from './worker.ts'

/**
 * The naive way, to be measured against: every frame parsed, put with a plain XADD of one field into the stream of its
 * topic, a pipeline a burst. It numbers nothing, knows nothing of copies, holes, epochs or books, waits for nothing, and
 * looks at no answer. With `--parse-only` it stops after JSON.parse: the floor under any worker. With `--timed` it notes how
 * long each frame took from the socket to the answer to its pipeline, by the same clock and recorder as Meltica.
 */
class NaiveWorker implements BenchWorker {
  readonly #parseOnly = process.argv.includes('--parse-only')
  readonly #latency = process.argv.includes('--timed') ? new LatencyRecorder() : null
  readonly #clock = new SystemClock()
  #redis: Redis | null = null
  #frames = 0
  #under = 0
  #calls = 0
  #batches: number[] = []

  async start({ ws, redisUrl, streams, maxLength }: WorkerStart): Promise<void> {
    const redis = new Redis(redisUrl)
    this.#redis = redis
    const trim = maxLength === null ? [] : ['MAXLEN', '~', maxLength]
    const socket = new WebSocket(`${ws}/stream`, { perMessageDeflate: false, skipUTF8Validation: true })
    let pipeline = redis.pipeline()
    let gathered = 0
    let receivedUs: number[] = []
    const flush = (): void => {
      const burst = pipeline
      const size = gathered
      const times = receivedUs
      receivedUs = []
      pipeline = redis.pipeline()
      gathered = 0
      this.#under++
      this.#calls++
      this.#batches.push(size)
      burst.exec(() => {
        this.#under--
        this.#note(times)
      })
    }
    await new Promise((resolve) => socket.once('open', resolve))
    const subscribed = new Promise((resolve) => socket.once('message', resolve))
    socket.send(JSON.stringify({ method: 'SUBSCRIBE', params: streams, id: 1 }))
    await subscribed
    socket.on('message', (data) => {
      if (this.#latency !== null) receivedUs.push(this.#clock.nowUs())
      const text = data.toString()
      const frame = JSON.parse(text) as { stream: string }
      this.#frames++
      if (this.#parseOnly) return
      pipeline.xadd(frame.stream, ...trim, '*', 'frame', text)
      if (gathered++ === 0) setImmediate(flush)
    })
  }

  #note(receivedUs: readonly number[]): void {
    if (this.#latency === null) return
    const answeredUs = this.#clock.nowUs()
    for (const us of receivedUs) this.#latency.record(answeredUs - us)
  }

  frames(): number {
    return this.#frames
  }

  idle(): boolean {
    return this.#under === 0
  }

  counts() {
    const batches = this.#batches
    this.#batches = []
    const appended = this.#parseOnly || this.#redis === null ? 0 : this.#frames
    const latencyUs = this.#latency?.takeInterval() ?? { p50: 0, p99: 0, p999: 0 }
    return { frames: this.#frames, appended, calls: this.#calls, batches, latencyUs, oddities: {} }
  }
}

serveWorker(new NaiveWorker())
