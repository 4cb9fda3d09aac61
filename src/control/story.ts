import { AnswerCode, type ChannelState, type ControlledChannel, type TopicReport } from './contract.ts'
import type { Effect } from './step.ts'

/** What is known of the channels that a command is about, at one moment. */
export interface StoryFacts {
  /** Table version that the command made. */
  readonly version: number
  readonly appliedAtUs: number
  readonly reports: readonly TopicReport[]
  /** Members of the role ingest that are alive. */
  readonly alive: ReadonlySet<string>
  /** Of the table: what the channels are meant to be now. */
  readonly channels: readonly ChannelState[]
  /** Table version up to which each channel is closed for the append script, by channel; absent: not closed. */
  readonly closedBelow: ReadonlyMap<ControlledChannel, number>
}

export interface Outcome {
  readonly effectiveAtUs: number
  readonly code: AnswerCode | null
}

/** Channels whose events may be far between: there the venue's acknowledgement is all that can be waited for. */
const QUIET: readonly ControlledChannel[] = ['TICKER', 'KLINE']

/** Whether the command has come true at the venue, and when; null: not yet. Pure. */
export function outcomeOf(effect: Effect, facts: StoryFacts): Outcome | null {
  const { appliedAtUs } = facts
  switch (effect.kind) {
    case 'none':
      return { effectiveAtUs: appliedAtUs, code: null }
    case 'drain':
      return facts.alive.has(effect.worker) ? null : { effectiveAtUs: appliedAtUs, code: null }
    case 'follow':
      return facts.reports.some(({ version }) => version >= facts.version)
        ? { effectiveAtUs: appliedAtUs, code: null }
        : null
    case 'resync':
      return resynced(facts)
    case 'flow':
    case 'stop': {
      let latest: Outcome = { effectiveAtUs: appliedAtUs, code: null }
      for (const type of effect.types) {
        const outcome = channelOutcome(effect.kind, type, facts)
        if (outcome === null) return null
        if (outcome.effectiveAtUs > latest.effectiveAtUs || outcome.code !== null) latest = outcome
      }
      return latest
    }
  }
}

function resynced({ reports, version, appliedAtUs }: StoryFacts): Outcome | null {
  const snapshot = reports.find((report) => isRest(report) && report.version >= version && report.state === 'flowing')
  return snapshot === undefined ? null : { effectiveAtUs: Math.max(appliedAtUs, snapshot.flowingAtUs ?? 0), code: null }
}

function channelOutcome(kind: 'flow' | 'stop', type: ControlledChannel, facts: StoryFacts): Outcome | null {
  const { version, appliedAtUs } = facts
  const reports = facts.reports.filter((report) => report.type === type && !isRest(report))
  const told = reports.filter((report) => report.version >= version)
  const done = kind === 'flow' ? flowingSince(type, told) : stoppedSince(told, reports, facts, type)
  if (done !== null) return { effectiveAtUs: Math.max(appliedAtUs, done), code: null }
  const state = facts.channels.find((channel) => channel.type === type)
  if (state === undefined || state.version <= version || state.open === (kind === 'flow')) return null
  // It may have come true before the later command undid it.
  if (kind === 'flow') {
    const flowed = told.filter(({ flowingAtUs }) => flowingAtUs !== null && flowingAtUs >= appliedAtUs)
    const first = flowed[0]?.flowingAtUs
    if (first) return { effectiveAtUs: first, code: null }
  }
  return { effectiveAtUs: appliedAtUs, code: AnswerCode.Superseded }
}

/** By one worker, all topics of the channel (KLINE: intervals); when the last of them did. */
function flowingSince(type: ControlledChannel, told: readonly TopicReport[]): number | null {
  for (const [, topics] of Map.groupBy(told, ({ worker }) => worker)) {
    const wanted = topics.filter(({ state }) => state !== 'stopped')
    if (wanted.length === 0) continue
    const times = wanted.map(({ state, ackedAtUs, flowingAtUs }) => {
      if (state === 'flowing') return QUIET.includes(type) ? (ackedAtUs ?? flowingAtUs) : flowingAtUs
      return state === 'acked' && QUIET.includes(type) ? ackedAtUs : null
    })
    if (times.every((time) => time !== null)) return Math.max(...times)
  }
  return null
}

/** The channel is closed to latecomers, the owner says that the venue was told, and no live worker says otherwise. */
function stoppedSince(
  told: readonly TopicReport[],
  all: readonly TopicReport[],
  { alive, version, closedBelow }: StoryFacts,
  type: ControlledChannel,
): number | null {
  if ((closedBelow.get(type) ?? 0) < version) return null
  if (all.some(({ worker, state }) => alive.has(worker) && state !== 'stopped')) return null
  const stopped = told.filter(({ worker, state }) => alive.has(worker) && state === 'stopped')
  if (stopped.length === 0) return null
  return Math.max(...stopped.map(({ stoppedAtUs }) => stoppedAtUs ?? 0))
}

/** What was fetched on request, reported under a topic of that name. */
export function isRest({ topic }: TopicReport): boolean {
  return topic.startsWith('rest:')
}
