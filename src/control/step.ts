import { FusedChannels } from '../domain/fusion/fusion.ts'
import {
  AnswerCode,
  type ChannelState,
  type Command,
  type ControlFilter,
  ControlLimits,
  type ControlledChannel,
  channelSchema,
  type Subscription,
} from './contract.ts'
import { type Change, channelKey, type Mark, type TableData } from './table-data.ts'

/** What a command needs to know of the world beside the table; the applier finds it out beforehand. */
export interface StepFacts {
  readonly nowUs: number
  /** Whether the venue lists the instrument that the command names; null where it names none. */
  readonly instrumentListed: boolean | null
  /** Instruments that a pattern subscription may have made flow: those with streams. */
  readonly instruments: readonly string[]
  /** Members of the role ingest that are alive. */
  readonly workers: readonly string[]
  /** What is wrong with the filters for this channel; null: nothing. */
  checkFilters(type: ControlledChannel, filters: readonly ControlFilter[]): string | null
}

/**
 * What has to come true at the venue before the command counts as effective.
 * - `flow`, `stop`: of the channels `types` of the instrument; a pattern stands for all that the command closed or opened.
 * - `follow`: the owner knows of it. `resync`: a snapshot has come. `drain`: the worker has left. `none`: nothing.
 */
export interface Effect {
  readonly kind: 'flow' | 'stop' | 'follow' | 'resync' | 'drain' | 'none'
  readonly market: string
  readonly instrument: string
  readonly types: readonly ControlledChannel[]
  readonly worker: string
}

export type StepResult =
  | {
      readonly kind: 'changed'
      readonly changes: readonly Change[]
      readonly before: unknown
      readonly after: unknown
      readonly effect: Effect
      readonly message: string | null
    }
  | { readonly kind: 'refused'; readonly code: AnswerCode; readonly message: string }

/** A worker that was drained so long ago is gone, and its mark with it. */
const DRAIN_KEPT_US = 3_600_000_000
const CHANNELS = channelSchema.options
const NOTHING: Effect = { kind: 'none', market: '', instrument: '', types: [], worker: '' }

/** What a command makes of the table. Pure; the table is left as it is. */
export function step(table: TableData, command: Command, facts: StepFacts): StepResult {
  switch (command.type) {
    case 'subscribe':
      return subscribe(table, command, facts)
    case 'unsubscribe':
      return unsubscribe(table, command, facts)
    case 'updateFilters':
      return updateFilters(table, command, facts)
    case 'pause':
      return pause(table, command, facts)
    case 'resume':
      return resume(table, command)
    case 'resync':
      return resync(table, command, facts)
    case 'drain':
      return drain(table, command, facts)
    case 'mergedSubscribe':
    case 'setTradingMode':
      return refuse(AnswerCode.NotImplemented, `${command.type} is not there yet`)
  }
}

type Of<Type extends Command['type']> = Extract<Command, { type: Type }>

function subscribe(table: TableData, command: Of<'subscribe'>, facts: StepFacts): StepResult {
  const { subscriptionId, market, instrument, type, filters, throttleMs, intervals } = command.payload
  const refusal = listed(table, market, instrument, facts)
  if (refusal !== null) return refusal
  if (table.subscriptions.has(subscriptionId)) {
    return refuse(AnswerCode.SubscriptionExists, `expected a new subscriptionId, found ${subscriptionId} in the table`)
  }
  if (table.subscriptions.size >= ControlLimits.subscriptionsMax) {
    return refuse(AnswerCode.TableFull, `the table holds ${ControlLimits.subscriptionsMax} subscriptions, its bound`)
  }
  if (table.routeFor(market, instrument, type) === null) {
    return refuse(AnswerCode.NoRoute, `no route says how ${type} of ${instrument} is had from ${market}`)
  }
  if (intervals !== null && type !== 'KLINE') {
    return refuse(AnswerCode.IntervalsRefused, `intervals belong to KLINE, found them with ${type}`)
  }
  const unfit = checkShape(type, filters, throttleMs, facts)
  if (unfit !== null) return unfit
  const version = table.version + 1
  const after: Subscription = {
    ...{ subscriptionId, consumer: command.consumer, market, instrument, type, filters, throttleMs, intervals },
    ...{ createdAtUs: facts.nowUs, sinceVersion: version },
  }
  const changes: Change[] = [{ part: 'subscriptions', field: subscriptionId, value: after }]
  const paused = table.isPaused(market, instrument)
  if (!paused && !table.wants(market, instrument, type)) changes.push(channel(market, instrument, type, true, version))
  const effect: Effect = paused ? NOTHING : { kind: 'flow', market, instrument, types: [type], worker: '' }
  return {
    ...{ kind: 'changed', changes, before: null, after, effect },
    message: paused ? `${instrument} is paused: it flows when it is resumed` : null,
  }
}

function unsubscribe(table: TableData, command: Of<'unsubscribe'>, facts: StepFacts): StepResult {
  const before = table.subscriptions.get(command.payload.subscriptionId)
  if (before === undefined) return unknown(command.payload.subscriptionId)
  const { subscriptionId, market, type } = before
  const version = table.version + 1
  const changes: Change[] = [{ part: 'subscriptions', field: subscriptionId, value: null, was: before }]
  const instruments = before.instrument.includes('*') ? facts.instruments : [before.instrument]
  for (const instrument of instruments) {
    const subscribers = table.subscribers(market, instrument, type)
    if (table.isPaused(market, instrument) || subscribers.length !== 1 || subscribers[0] !== before) continue
    changes.push(channel(market, instrument, type, false, version))
  }
  const stops = changes.length > 1
  return {
    ...{ kind: 'changed', changes, before, after: null },
    effect: stops ? { kind: 'stop', market, instrument: before.instrument, types: [type], worker: '' } : NOTHING,
    message: stops ? null : 'nothing stops at the venue: others are subscribed, or it did not flow',
  }
}

function updateFilters(table: TableData, command: Of<'updateFilters'>, facts: StepFacts): StepResult {
  const { subscriptionId, filters, throttleMs } = command.payload
  const before = table.subscriptions.get(subscriptionId)
  if (before === undefined) return unknown(subscriptionId)
  const after: Subscription = {
    ...before,
    ...(filters === undefined ? {} : { filters }),
    ...(throttleMs === undefined ? {} : { throttleMs }),
    sinceVersion: table.version + 1,
  }
  const { market, instrument, type } = before
  const unfit = checkShape(type, after.filters, after.throttleMs, facts)
  if (unfit !== null) return unfit
  const followed = !instrument.includes('*') && table.wants(market, instrument, type)
  return {
    ...{ kind: 'changed', changes: [{ part: 'subscriptions', field: subscriptionId, value: after }], before, after },
    effect: followed ? { kind: 'follow', market, instrument, types: [type], worker: '' } : NOTHING,
    message: null,
  }
}

function pause(table: TableData, command: Of<'pause'>, facts: StepFacts): StepResult {
  const { market, instrument } = command.payload
  const refusal = listed(table, market, instrument, facts)
  if (refusal !== null) return refusal
  if (table.isPaused(market, instrument)) return refuse(AnswerCode.AlreadyPaused, `${instrument} is paused already`)
  const version = table.version + 1
  const types = CHANNELS.filter((type) => table.wants(market, instrument, type))
  const after = { market, instrument, issuer: command.issuer, atUs: facts.nowUs, sinceVersion: version }
  return {
    kind: 'changed',
    changes: [
      { part: 'paused', field: `${market}:${instrument}`, value: after },
      ...types.map((type) => channel(market, instrument, type, false, version)),
    ],
    ...{ before: null, after },
    effect: types.length === 0 ? NOTHING : { kind: 'stop', market, instrument, types, worker: '' },
    message: null,
  }
}

function resume(table: TableData, command: Of<'resume'>): StepResult {
  const { market, instrument } = command.payload
  const field = `${market}:${instrument}`
  const before = table.paused.get(field)
  if (before === undefined) return refuse(AnswerCode.NotPaused, `expected ${instrument} to be paused, it is not`)
  const version = table.version + 1
  const types = CHANNELS.filter((type) => table.subscribers(market, instrument, type).length > 0)
  return {
    kind: 'changed',
    changes: [
      { part: 'paused', field, value: null },
      ...types.map((type) => channel(market, instrument, type, true, version)),
    ],
    ...{ before, after: null },
    effect: types.length === 0 ? NOTHING : { kind: 'flow', market, instrument, types, worker: '' },
    message: null,
  }
}

function resync(table: TableData, command: Of<'resync'>, facts: StepFacts): StepResult {
  const { market, instrument, reason } = command.payload
  const refusal = listed(table, market, instrument, facts)
  if (refusal !== null) return refusal
  if (!table.wants(market, instrument, 'ORDERBOOK')) {
    return refuse(AnswerCode.NotSubscribed, `nobody is subscribed to ORDERBOOK of ${instrument}, or it is paused`)
  }
  const { issuer } = command
  const mark: Mark = {
    ...{ kind: 'resync', market, instrument, reason, issuer },
    ...{ atUs: facts.nowUs, version: table.version + 1 },
  }
  return {
    kind: 'changed',
    changes: [{ part: 'marks', field: `resync:${market}:${instrument}`, value: mark }],
    ...{ before: null, after: mark },
    effect: { kind: 'resync', market, instrument, types: ['ORDERBOOK'], worker: '' },
    message: null,
  }
}

function drain(table: TableData, command: Of<'drain'>, facts: StepFacts): StepResult {
  const { worker } = command.payload
  if (!facts.workers.includes(worker)) {
    return refuse(AnswerCode.UnknownWorker, `expected a living worker, found ${worker}`)
  }
  const changes: Change[] = []
  for (const [field, mark] of table.marks) {
    if (mark.kind === 'drain' && facts.nowUs - mark.atUs > DRAIN_KEPT_US) {
      changes.push({ part: 'marks', field, value: null })
    }
  }
  const mark: Mark = { kind: 'drain', worker, atUs: facts.nowUs, version: table.version + 1 }
  changes.push({ part: 'marks', field: `drain:${worker}`, value: mark })
  const effect: Effect = { ...NOTHING, kind: 'drain', worker }
  return { kind: 'changed', changes, before: null, after: mark, effect, message: null }
}

function listed(table: TableData, market: string, instrument: string, facts: StepFacts): StepResult | null {
  const markets = new Set(table.routesInOrder.map((route) => route.market))
  if (!markets.has(market)) {
    const allowed = [...markets].join(', ') || 'none'
    return refuse(AnswerCode.UnknownMarket, `expected a market with routes (${allowed}), found ${market}`)
  }
  if (facts.instrumentListed !== false) return null
  return refuse(AnswerCode.UnknownInstrument, `expected an instrument that ${market} lists, found ${instrument}`)
}

function checkShape(
  type: ControlledChannel,
  filters: readonly ControlFilter[],
  throttleMs: number | null,
  facts: StepFacts,
): StepResult | null {
  const wrong = facts.checkFilters(type, filters)
  if (wrong !== null) return refuse(AnswerCode.FilterRefused, wrong)
  if (throttleMs !== null && throttleMs > 0 && !FusedChannels.some((channel) => channel === type)) {
    return refuse(
      AnswerCode.ThrottleRefused,
      `throttleMs is of fused events, which ${FusedChannels.join(', ')} make, not ${type}`,
    )
  }
  return null
}

function channel(
  market: string,
  instrument: string,
  type: ControlledChannel,
  open: boolean,
  version: number,
): Change & { part: 'channels' } {
  const value: ChannelState = { market, instrument, type, open, version }
  return { part: 'channels', field: channelKey(market, instrument, type), value }
}

function unknown(subscriptionId: string): StepResult {
  return refuse(AnswerCode.UnknownSubscription, `expected a subscription of the table, found ${subscriptionId}`)
}

function refuse(code: AnswerCode, message: string): StepResult {
  return { kind: 'refused', code, message }
}
