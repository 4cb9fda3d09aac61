import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8'

/**
 * V8 lets a heap grow to a multiple of what lives in it before it looks for garbage, the more so the less CPU it gets. What
 * a worker holds dies old (events wait for Redis, books for their snapshots), so most of a large heap would be such garbage: a
 * worker with 2,000 instruments holds 200 to 300 MB and would take a gigabyte. So it may grow to `grownBytes` between two
 * collections, and where most of that lives already by a fifth: a small heap is collected as seldom as V8 likes, a large one
 * more often. V8 reckons the bound at the end of a collection, so it is told before how much will live then: as much as at the
 * last one, and where that was more than before, as much more again. Told when the heap is large already, it would heed it a
 * collection too late.
 *
 * What dies old also leaves holes: pages of which a little still lives, and which V8 clears only where almost nothing does.
 * With 2,000 instruments that came to 200 MB after 100 s, as much as lived. So above `highBytes` it moves together what lives
 * (`optimize-for-size`; set at run time, when the spaces have their sizes, it does little else).
 * `highBytes` is above what the ring and what dies young come to under any load: at full speed 100 MB live in a heap of 200 to 300.
 * Compacting there takes a fifth of all processor time and spares memory that nobody lacks.
 *
 * Where new objects are made V8 takes room for 128 MB. An event is gone when its call is answered, so a quarter of that holds
 * as little that lives at a collection, and what has to be moved then is moved within 2 or 3 ms instead of 20.
 *
 * Where objects of one kind outlived a few collections, V8 makes all that follow in the place of the old ones (pretenuring).
 * A start or an outage, when everything waits, would so decide for the life of the process that every event is old.
 */
export const heapBounds = {
  grownBytes: 256 * 1024 * 1024,
  growthPercentMin: 20,
  highBytes: 320 * 1024 * 1024,
  lowBytes: 224 * 1024 * 1024,
  /** Both halves of it; it doubles in steps until this is reached. */
  youngBytes: 32 * 1024 * 1024,
} as const

/** More than V8 would take by itself. */
const GROWTH_PERCENT_MAX = 300

/**
 * By how much the heap may grow after the next collection, if so much lived at the last one and at the one before it; 0 is V8's
 * own choice.
 */
export function growthPercentAt(liveBytes: number, liveBytesBefore: number): number {
  const expectedBytes = liveBytes + Math.max(0, liveBytes - liveBytesBefore)
  const percent = Math.floor((heapBounds.grownBytes / expectedBytes - 1) * 100)
  return percent > GROWTH_PERCENT_MAX ? 0 : Math.max(percent, heapBounds.growthPercentMin)
}

/** Whether a heap of this size is to be kept compact. */
export function isCompactAt(heapBytes: number, before: boolean): boolean {
  return heapBytes > heapBounds.highBytes || (before && heapBytes >= heapBounds.lowBytes)
}

/** By what the place of new objects grows when it is too small. */
export function youngGrowthAt(youngBytes: number): 1 | 2 {
  return youngBytes < heapBounds.youngBytes ? 2 : 1
}

/** Watches the heap of this process, after every collection, until the answer is called. */
export function watchHeapGrowth(): () => void {
  setFlagsFromString('--no-allocation-site-pretenuring')
  let growthPercent = 0
  let liveBytes = 0
  let compact = false
  let young: 1 | 2 = 2
  const observer = new PerformanceObserver((list) => {
    const nextYoung = youngGrowthAt(youngBytesNow())
    if (nextYoung !== young) setFlagsFromString(`--semi-space-growth-factor=${nextYoung}`)
    young = nextYoung
    const { total_heap_size: heapBytes, used_heap_size: usedBytes } = getHeapStatistics()
    // What is in use right after all was collected lives.
    if (list.getEntries().some(isMajor)) {
      const nextPercent = growthPercentAt(usedBytes, liveBytes)
      liveBytes = usedBytes
      if (nextPercent !== growthPercent) setFlagsFromString(`--heap-growing-percent=${nextPercent}`)
      growthPercent = nextPercent
    }
    const nextCompact = isCompactAt(heapBytes, compact)
    if (nextCompact !== compact) setFlagsFromString(nextCompact ? '--optimize-for-size' : '--no-optimize-for-size')
    compact = nextCompact
  })
  observer.observe({ entryTypes: ['gc'] })
  return () => observer.disconnect()
}

function youngBytesNow(): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_size ?? 0
}

function isMajor({ detail }: PerformanceEntry & { readonly detail?: { readonly kind?: number } }): boolean {
  return detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR
}
