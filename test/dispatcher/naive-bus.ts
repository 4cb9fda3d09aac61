import type { ChannelBatch, EventBus, PublishResult } from '../../src/bus/publish.ts'
import { NaiveAppend } from '../support/naive-append.ts'

/** What entered a stream, as short as a test can compare it: `TRADE 5`, `GAP 6-7 lost`. */
export interface ShortEntry {
  readonly type: string
  readonly id: string
  readonly data: string
}

/**
 * The twin of the append script between a dispatcher and a test: it remembers the calls, can be held up, and can fail
 * before or after a call took effect, as a lost connection does.
 */
export class NaiveBus implements EventBus {
  #nowUs = 1_700_000_000_000_000
  readonly append = new NaiveAppend(() => (this.#nowUs += 1_000))
  readonly calls: (readonly ChannelBatch[])[] = []
  fail: (() => 'before' | 'after' | null) | null = null
  gate: Promise<void> | null = null

  async publish(batches: readonly ChannelBatch[]): Promise<PublishResult> {
    this.calls.push(batches)
    if (this.gate !== null) await this.gate
    const failure = this.fail?.() ?? null
    if (failure === 'before') throw new Error('the connection was lost before the call')
    const result = await this.append.publish(batches)
    if (failure === 'after') throw new Error('the connection was lost after the call')
    return result
  }

  entries(instrument: string, channel: string): ShortEntry[] {
    return this.append.entries(`BINANCE-SPOT:${instrument}:${channel}`).map((entry) => {
      const type = entry.type.split('.').at(-1) as string
      if (type !== 'GAP') return { type, id: entry.venueSeq, data: entry.data }
      const { from, to, cause } = JSON.parse(entry.data) as Record<string, string>
      return { type, id: `${from}-${to} ${cause}`, data: entry.data }
    })
  }

  ids(instrument: string, channel: string): string[] {
    return this.entries(instrument, channel).map((entry) => `${entry.type} ${entry.id}`)
  }

  /** Ranges that the ledger says are still to be filled. */
  open(instrument: string, channel: string): { from: number; to: number }[] {
    const members = this.append.ledger(`BINANCE-SPOT:${instrument}:${channel}`)
    return members.filter(({ how }) => how === null).map(({ from, to }) => ({ from: Number(from), to: Number(to) }))
  }
}
