import type { EventBus } from '../../src/bus/publish.ts'
import type { MemberStore } from '../../src/cluster/member-store.ts'
import { Adoption } from '../../src/dispatcher/adoption.ts'
import { ChannelLine } from '../../src/dispatcher/channel-line.ts'
import { Dispatcher } from '../../src/dispatcher/dispatcher.ts'
import type { DispatchTable } from '../../src/dispatcher/table.ts'
import { Channel, GapCause } from '../../src/domain/event.ts'
import { type Instrument, partitionOf } from '../../src/domain/instrument.ts'
import { IngestShare } from '../../src/processes/ingest-share.ts'
import type { VenueEvent, VenueRest } from '../../src/venues/venue.ts'
import { market, unproved } from '../dispatcher/world.ts'
import type { NaiveAppend } from '../support/naive-append.ts'
import { type Hub, Lines } from './lines.ts'
import type { Network } from './network.ts'
import { Received } from './received.ts'
import type { Owner } from './scheduler.ts'

export const PARTITIONS = 4
const CLUSTER = { heartbeatMs: 500, expiryMs: 2_000, handoverMs: 1_000, drainMs: 3_500 }

export interface WorkerParts {
  readonly network: Network
  readonly hub: Hub
  readonly store: MemberStore
  readonly append: NaiveAppend
  readonly table: DispatchTable
  readonly rest: (owner: Owner) => VenueRest
  readonly bus: (owner: Owner, received: Received) => EventBus
  readonly redundancy: number
}

/** A process of the role `ingest`, wired as `processes/ingest.ts` wires it. */
export class Worker {
  readonly id: string
  readonly owner: Owner
  readonly #parts: WorkerParts
  readonly #dispatcher: Dispatcher
  readonly #share: IngestShare
  readonly lines: Lines
  #adoption: Adoption | null = null
  #carried: ReadonlySet<string> = new Set()
  /** Was told to. */
  leaving = false
  readonly received = new Received()
  /** The longest way of an event since the beat before, us. */
  #lagUs = 0

  constructor(id: string, life: number, parts: WorkerParts) {
    this.id = id
    this.#parts = parts
    this.owner = { name: `${id}.${life}`, state: 'running', backlog: [] }
    const { owner } = this
    const { network, hub, store, table } = parts
    const clock = network.scheduler.clockOf(owner)
    const call = <Answer>(name: string, work: () => Answer | Promise<Answer>) => network.call(owner, name, work)
    const topics = new Map<string, number>()
    for (const { topic, instrument } of table.routes.values()) topics.set(topic, placeOf(instrument))
    this.#share = new IngestShare({
      ...{ id, incarnation: owner.name, version: '1', clock, cluster: CLUSTER, partitions: PARTITIONS },
      redundancy: parts.redundancy,
      store: {
        beat: async (role, beat) => call('a beat', () => store.beat(role, beat)),
        list: async (role) => call('the list of members', () => store.list(role)),
      },
      topics: () => topics,
      status: () => this.lines.status(),
      subscribe: (wanted, fresh) => this.#subscribe(wanted, fresh),
      released: (gone) =>
        gone.every(
          (topic) => !this.lines.stopping.has(topic) && this.#dispatcher.bindingOf(topic)?.line.idle !== false,
        ),
      owesGap: (topic) => {
        const binding = this.#dispatcher.bindingOf(topic)
        return binding?.line instanceof ChannelLine && binding.line.owesGap(binding.route.interval)
      },
      isNumbered: (topic) => !topic.includes('@ticker'),
      overlapped: (both) => this.#dispatcher.overlapped(both),
      uncovered: (alone) => {
        for (const topic of alone) this.#dispatcher.topicAcked(topic)
      },
      lagMs: () => this.#takeLagMs(),
      tell: ({ kind, message }) => network.tell(`${owner.name}: ${kind}: ${message}`),
    })
    this.#dispatcher = new Dispatcher({
      ...{ market, table, clock, partitions: PARTITIONS, lanes: 1, limits: { books: unproved } },
      bus: parts.bus(owner, this.received),
      rest: parts.rest(owner),
      random: network.dice.next,
      deadLetters: { append: async ({ reason, detail }) => network.tell(`${owner.name}: ${reason}: ${detail}`) },
      incident: ({ kind, message }) => network.tell(`${owner.name}: ${kind}: ${message}`),
      covered: (instrument) => this.#share.shares(placeOf(instrument)),
      latency: {
        record: (us) => {
          this.#lagUs = Math.max(this.#lagUs, us)
        },
      },
    })
    this.lines = new Lines({
      ...{ network, hub, owner },
      event: (event, connection) => {
        network.tell(`${owner.name}: receives ${nameOf(event)}`)
        this.received.note(event, network.scheduler.nowMs)
        this.#dispatcher.event(event, connection)
      },
      isNumbered: (topic) => !topic.includes('@ticker'),
      interrupted: (gone, cause) => this.#dispatcher.interrupted(gone, cause),
      acked: (topic) => {
        if (!this.#share.covers(topics.get(topic) ?? -1)) this.#dispatcher.topicAcked(topic)
      },
    })
    network.scheduler.after(0, owner, () => void this.#start())
  }

  async #start(): Promise<void> {
    await this.#share.join()
    await this.#share.activate()
    const { network, table, append } = this.#parts
    this.#adoption = new Adoption({
      clock: network.scheduler.clockOf(this.owner),
      reader: {
        openTradeGaps: (instruments) =>
          network.call(this.owner, 'the open gaps', () =>
            instruments.flatMap((instrument) =>
              append
                .ledger(`${market}:${instrument}:TRADE`)
                .filter(({ how }) => how === null)
                .map(({ from, to, openedAt }) => ({
                  ...{ instrument, from: Number(from), to: Number(to), openedAtUs: openedAt },
                })),
            ),
          ),
        openBars: async () => [],
      },
      // The venue here has no bars.
      ...{ barLines: () => [], fillBars: () => {}, barAgeMsMax: 0 },
      instruments: () =>
        [...table.routes.values()]
          .filter(({ topic, channel }) => channel === Channel.Trade && this.#carried.has(topic))
          .map(({ instrument }) => instrument),
      fill: ({ instrument, from, to, openedAtUs }) => this.#dispatcher.fillTradeGap(instrument, from, to, openedAtUs),
      failed: () => {},
    })
  }

  /** Hands its partitions over and ends. */
  async leave(): Promise<void> {
    const clock = this.#parts.network.scheduler.clockOf(this.owner)
    this.#adoption?.close()
    await this.#share.drain()
    this.lines.close()
    await Promise.race([this.#dispatcher.whenIdle(), new Promise<void>((resolve) => clock.after(1_000, resolve))])
    this.#dispatcher.close()
    await this.#share.leave()
    this.owner.state = 'dead'
    this.#parts.network.tell(`${this.owner.name}: has ended`)
  }

  #takeLagMs(): number {
    const lagMs = Math.max(this.#lagUs / 1_000, this.#dispatcher.behindMs)
    this.#lagUs = 0
    return lagMs
  }

  #subscribe(topics: ReadonlySet<string>, fresh: readonly string[]): void {
    if (fresh.length > 0) this.#dispatcher.interrupted(fresh, GapCause.Disconnect)
    this.lines.setTopics(topics)
    this.#carried = topics
    this.#parts.network.tell(`${this.owner.name}: takes ${[...topics].join(' ') || 'nothing'}`)
  }
}

function nameOf(event: VenueEvent): string {
  const id = event.kind === 'trade' ? event.id : event.kind === 'delta' ? `${event.first}-${event.last}` : ''
  return `${event.symbol} ${event.kind} ${id}`
}

function placeOf(instrument: Instrument): number {
  return partitionOf(market, instrument, PARTITIONS)
}
