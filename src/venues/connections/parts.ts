import type { Clock } from '../../lib/clock.ts'
import type { ConnectBudget } from '../limit-store.ts'
import type { StreamProtocol, VenueSink } from '../venue.ts'
import type { ConnectionsOptions } from './options.ts'
import type { ConnectionsLog } from './reports.ts'

export interface ConnectionsHooks {
  /** The venue acknowledged the subscription, also again after a reconnect. */
  onTopicAcked?(topic: string): void
  /** Data came, for the first time or for the first time since an interruption. */
  onTopicFlowing?(topic: string): void
  /** No line carries the topic any more. */
  onTopicStopped?(topic: string): void
}

export interface ConnectionsParts {
  readonly protocol: StreamProtocol
  readonly sink: VenueSink
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: ConnectionsLog
  readonly options?: Partial<ConnectionsOptions>
  readonly hooks?: ConnectionsHooks
  /** Attempts to connect that all processes of one address share; absent: this one is alone. */
  readonly connectBudget?: ConnectBudget
  /** Processes that connect from the same address now, this one included; asked for while the budget is away. */
  readonly processes?: () => number
}
