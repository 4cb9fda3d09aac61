import { getHeapStatistics, setFlagsFromString } from 'node:v8'

/**
 * V8 lets a heap grow to a multiple of what lives in it before it looks for garbage, the more so the less CPU it gets. What
 * a worker holds dies old (events wait for Redis, and for a fail-over), so most of a large heap would be such garbage: a
 * worker with 2,000 instruments holds 300 MB and would take a gigabyte. Above `high` it may grow by a fifth between two
 * collections, which costs a small one some throughput and a large one little.
 *
 * What dies old also leaves holes: pages of which a little still lives, and which V8 clears only where almost nothing does.
 * With 2,000 instruments that came to 200 MB after 100 s, as much as lived. So above `high` it moves together what lives
 * (`optimize-for-size`; set at run time, when the spaces have their sizes, it does little else).
 */
export const heapBounds = { highBytes: 192 * 1024 * 1024, lowBytes: 128 * 1024 * 1024, slowGrowthPercent: 20 } as const

const LOOK_MS = 1_000

export type HeapGrowth = 'free' | 'slow'

export function heapGrowthAt(heapBytes: number, before: HeapGrowth): HeapGrowth {
  if (heapBytes > heapBounds.highBytes) return 'slow'
  return heapBytes < heapBounds.lowBytes ? 'free' : before
}

/** Watches the heap of this process until the answer is called. */
export function watchHeapGrowth(): () => void {
  let growth: HeapGrowth = 'free'
  const timer = setInterval(() => {
    const next = heapGrowthAt(getHeapStatistics().total_heap_size, growth)
    if (next === growth) return
    growth = next
    setFlagsFromString(growth === 'slow' ? '--optimize-for-size' : '--no-optimize-for-size')
    // 0 is V8's own choice.
    setFlagsFromString(`--heap-growing-percent=${growth === 'slow' ? heapBounds.slowGrowthPercent : 0}`)
  }, LOOK_MS)
  timer.unref()
  return () => clearInterval(timer)
}
