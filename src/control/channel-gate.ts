import type { ChannelState } from './contract.ts'

/**
 * What the streams know of a channel that is opened: `fresh`: it was stopped, and nothing has come under this version yet, so
 * what is missing was not subscribed to. `flowing`: events of this version have entered. `empty`: nothing ever has.
 */
export type OpenedAs = 'fresh' | 'flowing' | 'empty'

/** Opens and closes channels where their events enter the streams. Throws where that cannot be reached; idempotent. */
export interface ChannelGate {
  /** From then on nothing that was offered under an older table version enters. */
  close(channels: readonly ChannelState[]): Promise<void>
  /** In the order of `channels`. */
  open(channels: readonly ChannelState[]): Promise<readonly OpenedAs[]>
}
