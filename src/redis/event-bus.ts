import type {
  ChannelBatch,
  ChannelOutcome,
  EventBus,
  Offer,
  OfferOutcome,
  PublishResult,
  RefusalReason,
  Verdict,
} from '../bus/publish.ts'
import type { Channel } from '../domain/event.ts'
import type { RedisConnection } from './connection.ts'
import { BusError } from './errors.ts'
import { Keys } from './keys.ts'
import { Script } from './script.ts'

const appendScript = new Script('append.lua')

export interface RedisEventBusOptions {
  readonly connection: RedisConnection
  readonly keys: Keys
  /** Entries kept a stream, about; null or absent keeps all. */
  readonly retention: Readonly<Partial<Record<Channel, number | null>>>
  /** After every call that succeeded, for telemetry. */
  readonly onPublished?: (batches: readonly ChannelBatch[], result: PublishResult) => void
  /** The bell is a convenience: when it cannot be rung the events stand nevertheless, and this is told. */
  readonly onBellFailed?: (message: string) => void
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

/** Keys of one channel, built once. */
interface Target {
  readonly state: string
  readonly stream: string
  readonly gaps: string
  readonly bell: string
  readonly catalogField: string
  inCatalog: boolean
  epoch: string
}

/** The data bus on Redis Streams: every call is one run of `scripts/append.lua`. */
export class RedisEventBus implements EventBus {
  readonly #options: RedisEventBusOptions
  readonly #targets = new Map<string, Target>()
  /** No entry of a new epoch gets an id below it, ms. */
  #floorMs = 0

  constructor(options: RedisEventBusOptions) {
    this.#options = options
  }

  async publish(batches: readonly ChannelBatch[]): Promise<PublishResult> {
    if (batches.length === 0) return { greatestEntryMs: 0, run: '', channels: [] }
    const targets = batches.map((batch) => this.#target(batch))
    await this.#list(targets)
    const reply = await appendScript.run(
      this.#options.connection,
      encodeCall(batches, targets, this.#floorMs, this.#options.retention),
    )
    const result = decodeReply(reply, batches, this.#options.onBellFailed)
    // Not below and not beside: of the same millisecond a reader may have seen entries that are lost now.
    if (result.greatestEntryMs >= this.#floorMs) this.#floorMs = result.greatestEntryMs + 1
    for (const [index, outcome] of result.channels.entries()) {
      const target = targets[index] as Target
      const epoch = outcome?.epoch ?? (batches[index] as ChannelBatch).epoch
      // Another epoch may be another Redis process, which may have lost the catalog with the rest.
      if (target.epoch !== epoch) target.inCatalog = false
      target.epoch = epoch
    }
    await this.#list(targets)
    this.#options.onPublished?.(batches, result)
    return result
  }

  /** Streams are listed before their first entry, so that no reader misses one. */
  async #list(targets: readonly Target[]): Promise<void> {
    const missing = targets.filter((target) => !target.inCatalog)
    if (missing.length === 0) return
    const fields = missing.flatMap((target) => [target.catalogField, target.stream])
    await this.#options.connection.send('hset', [this.#options.keys.catalog, ...fields])
    for (const target of missing) target.inCatalog = true
  }

  #target(batch: ChannelBatch): Target {
    const { market, instrument, channel } = batch
    const catalogField = Keys.catalogField(batch)
    let target = this.#targets.get(catalogField)
    if (target === undefined) {
      const { keys } = this.#options
      target = {
        state: keys.state(market, instrument),
        stream: keys.stream(market, instrument, channel),
        gaps: keys.gaps(market, instrument, channel),
        bell: keys.bell(keys.partition(market, instrument)),
        catalogField,
        inCatalog: false,
        epoch: '',
      }
      this.#targets.set(catalogField, target)
    }
    return target
  }
}

/** Number of keys, keys and arguments in the layout that the head of the script describes. */
function encodeCall(
  batches: readonly ChannelBatch[],
  targets: readonly Target[],
  floorMs: number,
  retention: RedisEventBusOptions['retention'],
): string[] {
  const bells: string[] = []
  const args = ['']
  for (const target of targets) {
    args.push(target.state, target.stream, target.gaps)
    if (!bells.includes(target.bell)) bells.push(target.bell)
  }
  for (const bell of bells) args.push(bell)
  args[0] = String(args.length - 1)
  args.push(String(floorMs), String(batches.length))
  for (const [index, batch] of batches.entries()) {
    const { channel, market, instrument, epoch, numbering, quality, offers } = batch
    const bell = bells.indexOf((targets[index] as Target).bell)
    const maxLength = retention[channel]
    args.push(String(bell), channel, market, instrument, epoch, String(batch.tableVersion), numbering, quality)
    args.push(maxLength === null || maxLength === undefined ? '' : String(maxLength), String(offers.length))
    for (const offer of offers) {
      args.push(
        flagsOf(offer),
        offer.id,
        offer.first,
        offer.venueTime,
        offer.receivedTime,
        offer.source,
        offer.trace,
        offer.data,
      )
    }
  }
  return args
}

function flagsOf(offer: Offer): string {
  const { kind, declare } = offer
  const letter =
    kind === 'SNAPSHOT' ? (offer.refresh ? 'R' : 'S') : kind === 'GIVEUP' ? 'G' : kind === 'LOST' ? 'L' : ''
  if (declare === '') return letter
  return `${letter === '' ? 'N' : letter}:${declare}`
}

function decodeReply(
  reply: unknown,
  batches: readonly ChannelBatch[],
  onBellFailed?: (message: string) => void,
): PublishResult {
  if (!Array.isArray(reply))
    throw new BusError('other', `expected a list from the append script, found ${typeof reply}`)
  const [head, ...groups] = reply as string[]
  const channels: (ChannelOutcome | null)[] = batches.map(() => null)
  for (const group of groups) {
    const index = Number.parseInt(group, 10)
    channels[index] = decodeGroup(group, batches[index] as ChannelBatch)
  }
  const [told = '0', bellError] = (head ?? '0').split('!', 2)
  if (bellError !== undefined) onBellFailed?.(bellError)
  const [greatestMs = '0', run = ''] = told.split(' ')
  return { greatestEntryMs: Number(greatestMs), run, channels }
}

function decodeGroup(text: string, batch: ChannelBatch): ChannelOutcome {
  const lineEnd = text.indexOf('\n')
  if (lineEnd !== -1) {
    // The group failed as a whole and took back what it had appended.
    const error = text.slice(lineEnd + 1)
    const outcomes = batch.offers.map((_, index) => ({ index, verdict: 'refused', reason: 'error', error }) as const)
    return { epoch: batch.epoch, epochChanged: false, have: '', joined: false, outcomes }
  }
  const [, epoch = '', changed, have = '', joined, codes = ''] = text.split(' ')
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
