import type { BookName } from './snapshot-store.ts'

/** Why the conductor doubts a book. */
export type ResyncReason = 'behind-retention' | 'no-snapshot' | 'corrupt-entry' | 'unjoined' | 'crossed' | 'shallow'

/** The conductor never asks the venue; what it doubts it asks for here. */
export interface ResyncRequests {
  /** Asking again is harmless; the caller asks at a limited rate. Never throws. */
  request(name: BookName, reason: ResyncReason): void
}
