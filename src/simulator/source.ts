/** One answer of the simulated REST API. */
export interface RestAnswer {
  readonly status: number
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
  /** Called once with whether the answer was written to a live connection. */
  readonly written?: (delivered: boolean) => void
}

/**
 * Hands one frame to the server: the stream name, the JSON text of `data` without the combined envelope, and, where the
 * source has it as such, the whole text with the envelope (otherwise the server wraps). False: wait for `ready()`.
 */
export type Emit = (stream: string, data: string, combined?: string) => boolean

/** One application of a fault: to a frame, a connection, or a request. */
export interface FaultRecord {
  readonly fault: string
  /** Number of the fault, in the order in which faults were told. */
  readonly id: number
  readonly timeMs: number
  /** For a frame, its stream and text of `data` (at most 1,000 characters). */
  readonly stream?: string
  readonly data?: string
  /** For a connection, its number; for a request, its path. */
  readonly connection?: number
  readonly path?: string
}

/**
 * Where a simulated venue's data comes from: a replayed capture or a generated market. The server speaks the venue's
 * protocol around it, the faults stand between the two.
 */
export interface MarketSource {
  /** Every native stream name it can feed, lower case, for example `btcusdt@depth@100ms`; null when any may be asked for. */
  readonly streams: ReadonlySet<string> | null
  /** The server tells which streams have at least one live subscriber now. */
  subscribed(streams: ReadonlySet<string>): void
  /** The request weight a minute that its `exchangeInfo` tells; absent: the venue's usual 6,000. */
  readonly requestWeightMax?: number
  /** Begins to emit. When `emit` answers false the source waits for `ready()`, which resolves when every buffer is empty. */
  start(emit: Emit, ready: () => Promise<void>): void
  /** Answers a public REST request; `path` as `/api/v3/depth`. null: no such endpoint here (the server says 404). */
  rest(path: string, query: URLSearchParams): Promise<RestAnswer | null>
  /** Told of every fault that was applied, after the fact, so that a ledger can hold it. */
  faultApplied?(record: FaultRecord): void
  /** Resolves when the last frame was emitted; never for an endless market. */
  readonly done: Promise<void>
  /** For `GET /simulator/state`. */
  state(): Record<string, unknown>
  close(): Promise<void>
}
