import { Quality } from '../domain/event.ts'
import type { ShownQuality } from '../domain/quality.ts'

/** A book that was joined may be broken for so long: it is being mended, and most are within a second. */
const MENDING_US_MAX = 5_000_000
/** Of many books some are always being mended; up to this share says nothing of the process. */
const BROKEN_SHARE = 0.05
/** What waiting for this process does not change: the venue trades it not, tells nothing of it, or it is left alone for a while. */
const BEYOND_US: readonly Quality[] = [Quality.Halted, Quality.Stale, Quality.Quarantined]

/** Why the books of a process are not yet what its readers may rely on; empty when they are. Pure. */
export function bookObstacles(books: readonly ShownQuality[], nowUs: number): string[] {
  const broken = books.filter(({ quality, reason, sinceUs }) => {
    if (quality === Quality.Live || BEYOND_US.includes(quality)) return false
    return reason === 'start' || nowUs - sinceUs > MENDING_US_MAX
  }).length
  return broken > Math.floor(books.length * BROKEN_SHARE) ? [`${broken} of ${books.length} books are not live`] : []
}
