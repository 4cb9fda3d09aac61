import { Gauge } from 'prom-client'
import { registry } from './metrics.ts'

const registers = [registry]

/** Of the rings of acknowledged events: what is kept for a Redis that comes back without it, and in what. */
export const ringMetrics = {
  ringEvents: new Gauge({
    name: 'meltica_ring_events',
    help: 'Acknowledged events kept to be offered again to a Redis that comes back without them',
    labelNames: ['market'] as const,
    registers,
  }),
  ringBytes: new Gauge({
    name: 'meltica_ring_bytes',
    help: 'The same in bytes, about',
    labelNames: ['market'] as const,
    registers,
  }),
  ringMemoryBytes: new Gauge({
    name: 'meltica_ring_memory_bytes',
    help: 'Memory outside of the heap in which they are kept, with what is free there',
    labelNames: ['market'] as const,
    registers,
  }),
  ringSpareChunks: new Gauge({
    name: 'meltica_ring_spare_chunks',
    help: 'Places of batches that are forgotten, kept for those to come',
    labelNames: ['market'] as const,
    registers,
  }),
}
