import type { Metric, Registry } from 'prom-client'

/**
 * A histogram without labels whose `observe` is a few comparisons and two additions: prom-client's own costs more than the
 * rest of the bookkeeping of an event. It appears in the registry like any other.
 */
export class BucketHistogram {
  readonly name: string
  readonly help: string
  readonly #bounds: readonly number[]
  readonly #counts: Float64Array
  #sum = 0

  constructor(options: { name: string; help: string; buckets: readonly number[]; registry: Registry }) {
    this.name = options.name
    this.help = options.help
    this.#bounds = options.buckets
    this.#counts = new Float64Array(options.buckets.length + 1)
    // The registry only ever calls `get` and `reset` and reads `name`; its type names its own four classes.
    options.registry.registerMetric(this as unknown as Metric<string>)
  }

  observe(value: number): void {
    const bounds = this.#bounds
    let i = 0
    while (i < bounds.length && value > (bounds[i] as number)) i++
    this.#counts[i] = (this.#counts[i] as number) + 1
    this.#sum += value
  }

  reset(): void {
    this.#counts.fill(0)
    this.#sum = 0
  }

  async get(): Promise<unknown> {
    let total = 0
    const values = [...this.#bounds, '+Inf'].map((le, i) => {
      total += this.#counts[i] as number
      return { value: total, labels: { le }, metricName: `${this.name}_bucket` }
    })
    return {
      help: this.help,
      name: this.name,
      type: 'histogram',
      aggregator: 'sum',
      values: [
        ...values,
        { value: this.#sum, labels: {}, metricName: `${this.name}_sum` },
        { value: total, labels: {}, metricName: `${this.name}_count` },
      ],
    }
  }
}
