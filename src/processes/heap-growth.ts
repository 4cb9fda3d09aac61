import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8'

/**
 * V8 lets a heap grow to a multiple of what lives in it before it looks for garbage, the more so the less CPU it gets. What
 * a worker holds dies old (events wait for Redis, and for a fail-over), so most of a large heap would be such garbage: a
 * worker with 2,000 instruments holds 300 MB and would take a gigabyte. Above `high` it may grow by a fifth between two
 * collections, which costs a small one some throughput and a large one little.
 *
 * What dies old also leaves holes: pages of which a little still lives, and which V8 clears only where almost nothing does.
 * With 2,000 instruments that came to 200 MB after 100 s, as much as lived. So above `high` it moves together what lives
 * (`optimize-for-size`; set at run time, when the spaces have their sizes, it does little else).
 * `high` is above what the ring and what dies young come to under any load: at full speed 100 MB live in a heap of 200 to 300.
 * Compacting there takes a fifth of all processor time and spares memory that nobody lacks.
 *
 * Where new objects are made V8 takes room for 128 MB. An event is gone when its call is answered, so an eighth of that holds
 * as little that lives at a collection, and what has to be moved then is moved within 2 or 3 ms instead of 20.
 *
 * Where objects of one kind outlived a few collections, V8 makes all that follow in the place of the old ones (pretenuring).
 * A start or an outage, when everything waits, would so decide for the life of the process that every event is old.
 */
export const heapBounds = {
  highBytes: 320 * 1024 * 1024,
  lowBytes: 224 * 1024 * 1024,
  slowGrowthPercent: 20,
  /** Both halves of it; it doubles in steps until this is reached. */
  youngBytes: 16 * 1024 * 1024,
} as const

export type HeapGrowth = 'free' | 'slow'

export function heapGrowthAt(heapBytes: number, before: HeapGrowth): HeapGrowth {
  if (heapBytes > heapBounds.highBytes) return 'slow'
  return heapBytes < heapBounds.lowBytes ? 'free' : before
}

/** By what the place of new objects grows when it is too small. */
export function youngGrowthAt(youngBytes: number): 1 | 2 {
  return youngBytes < heapBounds.youngBytes ? 2 : 1
}

/** Watches the heap of this process, after every collection, until the answer is called. */
export function watchHeapGrowth(): () => void {
  setFlagsFromString('--no-allocation-site-pretenuring')
  let growth: HeapGrowth = 'free'
  let young: 1 | 2 = 2
  const observer = new PerformanceObserver(() => {
    const nextYoung = youngGrowthAt(youngBytesNow())
    if (nextYoung !== young) setFlagsFromString(`--semi-space-growth-factor=${nextYoung}`)
    young = nextYoung
    const next = heapGrowthAt(getHeapStatistics().total_heap_size, growth)
    if (next === growth) return
    growth = next
    setFlagsFromString(growth === 'slow' ? '--optimize-for-size' : '--no-optimize-for-size')
    // 0 is V8's own choice.
    setFlagsFromString(`--heap-growing-percent=${growth === 'slow' ? heapBounds.slowGrowthPercent : 0}`)
  })
  observer.observe({ entryTypes: ['gc'] })
  return () => observer.disconnect()
}

function youngBytesNow(): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_size ?? 0
}
