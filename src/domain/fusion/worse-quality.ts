import { Quality } from '../event.ts'

/** From fit for use to not to be used at all. */
const ORDER: readonly Quality[] = [
  Quality.Live,
  Quality.Syncing,
  Quality.Stale,
  Quality.Gapped,
  Quality.Crossed,
  Quality.Halted,
  Quality.Quarantined,
]

/** Two parties judge a book; the worse word is shown. */
export function worseQuality(one: Quality, other: Quality): Quality {
  return ORDER.indexOf(one) >= ORDER.indexOf(other) ? one : other
}
