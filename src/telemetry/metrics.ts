import { Counter, Gauge, Registry } from 'prom-client'
import { BucketHistogram } from './bucket-histogram.ts'

/**
 * Every metric Meltica exports, named once, with its unit. The hot path counts in plain numbers and a `collect` hook
 * carries them over when Prometheus asks; everything else increments directly.
 */
export const registry = new Registry()
const registers = [registry]

export const metrics = {
  deadLetters: new Counter({
    name: 'meltica_dead_letters_total',
    help: 'Inputs that could not be mapped or admitted, by reason',
    labelNames: ['reason'] as const,
    registers,
  }),
  redisReconnects: new Counter({
    name: 'meltica_redis_reconnects_total',
    help: 'Times a Redis connection was opened again after it was lost',
    labelNames: ['connection'] as const,
    registers,
  }),
  venueConnections: new Gauge({
    name: 'meltica_venue_connections',
    help: 'Open stream connections',
    labelNames: ['market'] as const,
    registers,
  }),
  socketToAppendSeconds: new BucketHistogram({
    name: 'meltica_socket_to_append_seconds',
    help: 'From the arrival of a frame to the reply of the append script',
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registry,
  }),
}
