import { Random } from '../../src/simulator/market/random.ts'
import { faultMixture, type TimedFault } from '../support/fault-mixture.ts'

/** What is done to the system, and when, ms since the beginning; worked out from the seed alone, so a seed replays. */
export type Harm =
  | { readonly atMs: number; readonly kind: 'kill' | 'end'; readonly process: string; readonly downMs: number }
  | { readonly atMs: number; readonly kind: 'stop'; readonly process: string; readonly forMs: number }
  | { readonly atMs: number; readonly kind: 'redis-restart'; readonly downMs: number }
  | { readonly atMs: number; readonly kind: 'redis-behind'; readonly behindMs: number; readonly downMs: number }
  | { readonly atMs: number; readonly kind: 'redis-cut' | 'venue-cut' }
  | {
      readonly atMs: number
      readonly kind: 'redis-late' | 'redis-silent' | 'venue-late'
      readonly forMs: number
      readonly delayMs: number
    }
  | { readonly atMs: number; readonly kind: 'venue-fault'; readonly fault: Omit<TimedFault, 'at'> }

export const Profile = {
  All: 'all',
  /** kill, stop, end and restart of Meltica's processes. */
  Processes: 'processes',
  /** Redis killed and restarted, late, silent, cut off. */
  Redis: 'redis',
  /** Redis dies, and one takes its place that lacks the last of it, as a replica does. */
  FailOver: 'fail-over',
  /** Faults of the venue and of the way to it. */
  Venue: 'venue',
} as const
export type Profile = (typeof Profile)[keyof typeof Profile]

const KINDS: Readonly<Record<Profile, readonly Harm['kind'][]>> = {
  all: [
    'kill',
    'kill',
    'stop',
    'end',
    'end',
    'redis-restart',
    'redis-cut',
    'redis-late',
    'redis-silent',
    'venue-cut',
    'venue-late',
    ...Array<'venue-fault'>(6).fill('venue-fault'),
  ],
  processes: ['kill', 'stop', 'end'],
  redis: ['redis-restart', 'redis-cut', 'redis-late', 'redis-silent'],
  'fail-over': ['redis-behind', 'redis-behind', 'redis-cut', 'redis-late', 'end', 'venue-cut'],
  venue: ['venue-cut', 'venue-late', ...Array<'venue-fault'>(4).fill('venue-fault')],
}

export interface PlanOptions {
  readonly seed: number
  readonly seconds: number
  /** Mean time between two harms, ms. */
  readonly everyMs: number
  readonly profile: Profile
  readonly processes: readonly string[]
  /** As the venue spells them, for example `btcusdt`. */
  readonly symbols: readonly string[]
}

export function planHarms({ seed, seconds, everyMs, profile, processes, symbols }: PlanOptions): Harm[] {
  const random = new Random(seed, 8)
  const one = <Item>(items: readonly Item[]): Item => items[random.below(items.length)] as Item
  const between = (min: number, max: number): number => Math.round(min + random.unit() * (max - min))
  const faults = faultMixture(seed, Math.ceil((seconds * 4_000) / everyMs) + 10, seconds, symbols)
  const harms: Harm[] = []
  for (let atMs = between(0, everyMs); atMs < seconds * 1_000; atMs += between(everyMs * 0.3, everyMs * 1.7)) {
    const kind = one(KINDS[profile])
    switch (kind) {
      case 'kill':
      case 'end':
        harms.push({ atMs, kind, process: one(processes), downMs: between(0, 3_000) })
        break
      case 'stop':
        harms.push({ atMs, kind, process: one(processes), forMs: between(500, 10_000) })
        break
      case 'redis-restart':
        harms.push({ atMs, kind, downMs: between(0, 3_000) })
        break
      case 'redis-behind':
        harms.push({ atMs, kind, behindMs: between(100, 3_000), downMs: between(0, 3_000) })
        break
      case 'redis-cut':
      case 'venue-cut':
        harms.push({ atMs, kind })
        break
      case 'redis-late':
      case 'redis-silent':
      case 'venue-late':
        harms.push({ atMs, kind, forMs: between(500, 4_000), delayMs: between(20, 300) })
        break
      default: {
        const { at: _, ...fault } = faults.pop() as TimedFault
        harms.push({ atMs, kind: 'venue-fault', fault })
      }
    }
  }
  return harms
}

export function describeHarm({ atMs, kind, ...facts }: Harm): string {
  return `${(atMs / 1_000).toFixed(1).padStart(7)} s  ${kind} ${JSON.stringify(facts)}`
}
