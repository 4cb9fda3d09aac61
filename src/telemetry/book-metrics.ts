import { Counter, Gauge } from 'prom-client'
import { registry } from './metrics.ts'

const registers = [registry]

/** The metrics of the proof of books; all others are in `metrics.ts`. */
export const bookMetrics = {
  bookChecks: new Counter({
    name: 'meltica_book_checks_total',
    help: "Deltas by what the venue's ticker said of the book behind them: right, wrong, doubtful (a ticker is missing), unchecked (blind books too)",
    labelNames: ['market', 'outcome'] as const,
    registers,
  }),
  bookMismatches: new Counter({
    name: 'meltica_book_mismatches_total',
    help: 'Times a joined book was proved wrong, by how; any is something to look at',
    labelNames: ['market', 'reason'] as const,
    registers,
  }),
  bookResyncs: new Counter({
    name: 'meltica_book_resyncs_total',
    help: 'Snapshots wanted of the venue, by reason',
    labelNames: ['market', 'reason'] as const,
    registers,
  }),
  bookSnapshotsOdd: new Counter({
    name: 'meltica_book_snapshots_odd_total',
    help: 'Snapshots of the venue that were no book: crossed, unsorted, of update -1; asked for again ever later',
    labelNames: ['market'] as const,
    registers,
  }),
  bookOddities: new Counter({
    name: 'meltica_book_oddities_total',
    help: 'Prices off the tick, quantities off the step, deltas back in time; a snapshot is asked for and shows what it is',
    labelNames: ['market', 'kind'] as const,
    registers,
  }),
  bookQuarantines: new Counter({
    name: 'meltica_book_quarantines_total',
    help: 'Times a book that failed again and again was left alone; an alarm',
    labelNames: ['market'] as const,
    registers,
  }),
  books: new Gauge({
    name: 'meltica_books',
    help: 'Books of this process by quality',
    labelNames: ['market', 'quality'] as const,
    registers,
  }),
  booksBlind: new Gauge({
    name: 'meltica_books_blind',
    help: 'Joined books of which nothing can be proved until a snapshot of them comes, as behind a takeover',
    labelNames: ['market'] as const,
    registers,
  }),
  bookProofBytes: new Gauge({
    name: 'meltica_book_proof_bytes',
    help: 'Memory of the second books that prove the first',
    labelNames: ['market'] as const,
    registers,
  }),
}
