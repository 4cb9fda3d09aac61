import type { ReplaySpeed } from '../simulator/replay.ts'

/** How `start` runs beside the configuration. `--roles` and `--retention` are part of the configuration already. */
export interface StartOptions {
  /** A capture to be served instead of the generated market. */
  readonly replay: { readonly file: string; readonly speed: ReplaySpeed } | null
  /** End when the replay has been read to its end, the queues are empty and no request is in flight. */
  readonly untilDone: boolean
  /** End after so many milliseconds, null: not by itself. With this or `untilDone` the last line of output is the summary. */
  readonly forMs: number | null
  /** Whether somebody named the role gateway, or where it listens; else both are those of config/meltica.yaml. */
  readonly gatewayNamed: boolean
  /** The live view as JSON, one object a line. */
  readonly json: boolean
  /** Whether output goes to a terminal that can be redrawn. */
  readonly terminal: boolean
  /** Aborted when the process is asked to end: stop cleanly and answer 0 within 5 s. */
  readonly signal: AbortSignal
  /** Writes to standard output; nothing else may write there. */
  readonly write: (text: string) => void
}
