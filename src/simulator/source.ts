/** One answer of the simulated REST API. */
export interface RestAnswer {
  readonly status: number
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
  /** Called once with whether the answer was written to a live connection. */
  readonly written?: (delivered: boolean) => void
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
  /**
   * Begins to emit. `emit` takes the stream name and the JSON text of `data` (without the combined envelope) and answers
   * whether the source may go on at once; otherwise it waits for `ready()`.
   */
  start(emit: (stream: string, data: string) => boolean, ready: () => Promise<void>): void
  /** Answers a public REST request; `path` as `/api/v3/depth`. null: no such endpoint here (the server says 404). */
  rest(path: string, query: URLSearchParams): Promise<RestAnswer | null>
  /** Resolves when the last frame was emitted; never for an endless market. */
  readonly done: Promise<void>
  /** For `GET /simulator/state`. */
  state(): Record<string, unknown>
  close(): Promise<void>
}
