import type {
  ChannelBatch,
  ChannelOutcome,
  EventBus,
  OfferOutcome,
  PublishResult,
  RefusalReason,
  Verdict,
} from '../bus/publish.ts'
import type { Channel } from '../domain/event.ts'
import type { Instrument } from '../domain/instrument.ts'
import { AppendCall, AppendCalls, AppendTarget, type Bell, bulksOf } from './append-call.ts'
import type { RedisConnection } from './connection.ts'
import { BusError, toBusError } from './errors.ts'
import { Keys } from './keys.ts'
import { Script } from './script.ts'

const appendScript = new Script('append.lua')
const NOTHING_SENT = new AppendCall(Buffer.alloc(0), 0, [], [])

export interface RedisEventBusOptions {
  readonly connection: RedisConnection
  readonly keys: Keys
  /** Entries kept a stream, about; null or absent keeps all. */
  readonly retention: Readonly<Partial<Record<Channel, number | null>>>
  /** After every call that succeeded, for telemetry. */
  readonly onPublished?: (batches: readonly ChannelBatch[], result: PublishResult) => void
  /** The bell is a convenience: when it cannot be rung the events stand nevertheless, and this is told. */
  readonly onBellFailed?: (message: string) => void
  /** A gap ledger was at a bound. */
  readonly onLedgerBound?: (batch: ChannelBatch, bound: LedgerBound) => void
}

/** What a call did to a gap ledger that was at a bound: its oldest closed members went, gaps were closed unfilled as `over-bound`. */
export interface LedgerBound {
  readonly dropped: number
  readonly overBound: number
}

/** What the letters of the script's reply mean. */
const VERDICTS: Readonly<Record<string, { verdict: Verdict; reason: RefusalReason | null }>> = {
  d: { verdict: 'duplicate', reason: null },
  g: { verdict: 'gap', reason: null },
  e: { verdict: 'early', reason: null },
  t: { verdict: 'gapTold', reason: null },
  r: { verdict: 'gapToldRefused', reason: null },
  u: { verdict: 'refused', reason: 'unjoined' },
  s: { verdict: 'refused', reason: 'snapshot-too-old' },
  v: { verdict: 'refused', reason: 'table-version' },
  o: { verdict: 'refused', reason: 'epoch' },
  x: { verdict: 'refused', reason: 'error' },
}

/** The data bus on Redis Streams: every call is one run of `scripts/append.lua`. */
export class RedisEventBus implements EventBus {
  readonly #options: RedisEventBusOptions
  readonly #calls = new AppendCalls()
  /** A handful for each instrument: one a channel of each market. */
  readonly #targets = new Map<Instrument, AppendTarget[]>()
  readonly #bells = new Map<string, Bell>()
  /** No entry of a new epoch gets an id below it, ms. */
  #floorMs = 0

  constructor(options: RedisEventBusOptions) {
    this.#options = options
  }

  async publish(batches: readonly ChannelBatch[]): Promise<PublishResult> {
    const [firstBatch] = batches
    if (firstBatch === undefined) return { greatestEntryMs: 0, run: '', channels: [], sent: NOTHING_SENT }
    const targets: AppendTarget[] = []
    for (let index = 0; index < batches.length; index++) targets.push(this.#target(batches[index] as ChannelBatch))
    if (!areListed(targets)) await this.#list(targets)
    const { state } = targets[0] as AppendTarget
    let sent = NOTHING_SENT
    const reply = await appendScript.runEncoded(this.#options.connection, state, (name, script) => {
      sent = this.#calls.encode(name, script, batches, targets, this.#floorMs)
      return sent.bytes
    })
    const result = { ...decodeReply(reply, batches, this.#options), sent }
    // Not below and not beside: of the same millisecond a reader may have seen entries that are lost now.
    if (result.greatestEntryMs >= this.#floorMs) this.#floorMs = result.greatestEntryMs + 1
    for (let index = 0; index < targets.length; index++) {
      const target = targets[index] as AppendTarget
      const epoch = result.channels[index]?.epoch ?? (batches[index] as ChannelBatch).epoch
      // Another epoch may be another Redis process, which may have lost the catalog with the rest.
      if (target.epoch !== epoch) target.inCatalog = false
      target.epoch = epoch
    }
    if (!areListed(targets)) await this.#list(targets)
    this.#options.onPublished?.(batches, result)
    return result
  }

  /** Streams are listed before their first entry, so that no reader misses one. */
  async #list(targets: readonly AppendTarget[]): Promise<void> {
    const missing = targets.filter((target) => !target.inCatalog)
    const fields = missing.flatMap((target) => [target.catalogField, target.stream])
    await this.#options.connection.send('hset', [this.#options.keys.catalog, ...fields])
    for (const target of missing) target.inCatalog = true
  }

  #target(batch: ChannelBatch): AppendTarget {
    const { instrument } = batch
    let known = this.#targets.get(instrument)
    if (known === undefined) {
      known = []
      this.#targets.set(instrument, known)
    }
    for (let index = 0; index < known.length; index++) {
      const target = known[index] as AppendTarget
      if (target.channel === batch.channel && target.market === batch.market) return target
    }
    const target = this.#newTarget(batch)
    known.push(target)
    return target
  }

  #newTarget(batch: ChannelBatch): AppendTarget {
    const { market, instrument, channel } = batch
    const { keys, retention } = this.#options
    const names = {
      state: keys.state(market, instrument),
      stream: keys.stream(market, instrument, channel),
      gaps: keys.gaps(market, instrument, channel),
      catalogField: Keys.catalogField(batch),
    }
    const bellKey = keys.bell(keys.partition(market, instrument))
    let bell = this.#bells.get(bellKey)
    if (bell === undefined) {
      bell = { bytes: bulksOf([bellKey]), call: 0, number: 0 }
      this.#bells.set(bellKey, bell)
    }
    return new AppendTarget(batch, names, bell, String(retention[channel] ?? ''))
  }
}

function areListed(targets: readonly AppendTarget[]): boolean {
  for (let index = 0; index < targets.length; index++) if (!(targets[index] as AppendTarget).inCatalog) return false
  return true
}

function decodeReply(
  reply: unknown,
  batches: readonly ChannelBatch[],
  { onBellFailed, onLedgerBound }: RedisEventBusOptions,
): Omit<PublishResult, 'sent'> {
  if (!Array.isArray(reply))
    throw new BusError('other', `expected a list from the append script, found ${typeof reply}`)
  const [head, ...groups] = reply as string[]
  const channels: (ChannelOutcome | null)[] = batches.map(() => null)
  for (const group of groups) {
    const index = Number.parseInt(group, 10)
    channels[index] = decodeGroup(group, batches[index] as ChannelBatch, onLedgerBound)
  }
  const [told = '0', bellError] = (head ?? '0').split('!', 2)
  if (bellError !== undefined) onBellFailed?.(bellError)
  const [greatestMs = '0', run = ''] = told.split(' ')
  return { greatestEntryMs: Number(greatestMs), run, channels }
}

function decodeGroup(
  text: string,
  batch: ChannelBatch,
  onLedgerBound: RedisEventBusOptions['onLedgerBound'],
): ChannelOutcome {
  const lineEnd = text.indexOf('\n')
  if (lineEnd !== -1) {
    // The group failed as a whole and took back what it had appended.
    const error = text.slice(lineEnd + 1)
    // Rights come back, so these events are to wait for them; the groups that were taken answer `duplicate` then.
    const cause = toBusError(new Error(error))
    if (cause.code === 'noperm') throw cause
    const outcomes = batch.offers.map((_, index) => ({ index, verdict: 'refused', reason: 'error', error }) as const)
    return { epoch: batch.epoch, epochChanged: false, have: '', joined: false, outcomes }
  }
  const [, epoch = '', changed, have = '', joined, codes = '', dropped, overBound] = text.split(' ')
  if (dropped !== undefined) onLedgerBound?.(batch, { dropped: Number(dropped), overBound: Number(overBound) })
  const outcomes: OfferOutcome[] = []
  if (codes !== '') {
    for (const code of codes.split(',')) {
      const { verdict, reason } = VERDICTS[code.slice(-1)] as (typeof VERDICTS)[string]
      const error = reason === 'error' ? 'the offer is malformed' : null
      outcomes.push({ index: Number(code.slice(0, -1)), verdict, reason, error })
    }
  }
  return { epoch, epochChanged: changed === '1', have, joined: joined === '1', outcomes }
}
