import { build, type Histogram } from 'hdr-histogram-js'
import { metrics } from './metrics.ts'

/** Microseconds from the arrival of a frame to the reply of the append script, at three quantiles. */
export interface LatencyQuantiles {
  readonly p50: number
  readonly p99: number
  readonly p999: number
}

const HIGHEST_US = 60_000_000

/**
 * Records socket-to-append-reply latency twice: over the whole life of the process, for the closing summary, and over the
 * interval since the last look, for the live view. Values beyond a minute count as a minute.
 */
export class LatencyRecorder {
  #whole: Histogram = newHistogram()
  #interval: Histogram = newHistogram()

  record(latencyUs: number): void {
    const us = latencyUs < 1 ? 1 : Math.min(latencyUs, HIGHEST_US)
    this.#whole.recordValue(us)
    this.#interval.recordValue(us)
    metrics.socketToAppendSeconds.observe(us / 1e6)
  }

  whole(): LatencyQuantiles {
    return quantiles(this.#whole)
  }

  /** Quantiles since the last call of this method. */
  takeInterval(): LatencyQuantiles {
    const taken = quantiles(this.#interval)
    this.#interval.reset()
    return taken
  }
}

function newHistogram(): Histogram {
  return build({ lowestDiscernibleValue: 1, highestTrackableValue: HIGHEST_US, numberOfSignificantValueDigits: 3 })
}

function quantiles(histogram: Histogram): LatencyQuantiles {
  if (histogram.totalCount === 0) return { p50: 0, p99: 0, p999: 0 }
  return {
    p50: histogram.getValueAtPercentile(50),
    p99: histogram.getValueAtPercentile(99),
    p999: histogram.getValueAtPercentile(99.9),
  }
}
