import type { ChannelBatch, EventBus } from '../../src/bus/publish.ts'
import { LocalMembers } from '../../src/cluster/local-members.ts'
import type { VenueRest } from '../../src/venues/venue.ts'
import { info, market, tableOf } from '../dispatcher/world.ts'
import { NaiveAppend, type NaiveEntry } from '../support/naive-append.ts'
import { Conductors } from './conductors.ts'
import { StreamsJudge } from './judge.ts'
import { Hub } from './lines.ts'
import { calm, Network, weatherOf } from './network.ts'
import type { Received } from './received.ts'
import { Dice, type Owner, Scheduler } from './scheduler.ts'
import { live, Market } from './venue.ts'
import { Worker, type WorkerParts } from './worker.ts'

export interface Told {
  readonly seed: number
  /** What went wrong, null where nothing did. */
  readonly failure: string | null
  readonly entries: number
  readonly commits: number
  readonly steps: number
  readonly faults: number
  readonly simulatedMs: number
  readonly lines: readonly string[]
}

const INSTRUMENTS = ['BTC-USDT', 'ETH-USDT', 'SOL-USDT']
const WORKERS_MAX = 3
const CONDUCTORS_MAX = 2
/** What is not there so long after the last fault does not come any more. */
const PATIENCE_MS = 240_000
const QUIET_MS = 3_000
/** So much more slowly the market goes when it is calm. */
const CALM_PACE = 8
const FAULTS = [
  ...(['cut', 'cut', 'half-open', 'renew', 'kill', 'pause', 'leave', 'begin', 'weather', 'other-redis'] as const),
  'mute',
  'fail-over',
  ...(['conductor-kill', 'conductor-pause', 'conductor-begin'] as const),
] as const
/** What happens where processes are only exchanged: nothing is missing then, so no gap may be told. */
const DEPLOYS = ['leave', 'leave', 'begin', 'renew', 'conductor-kill', 'conductor-begin'] as const
const DEPLOYS_SHARE = 0.15

/**
 * One history: a small venue, a few processes, faults for some seconds, then calm until nothing is missing. The seed says
 * everything. `isTold`: keeps what happened, line by line.
 */
export async function playHistory(seed: number, isTold: boolean): Promise<Told> {
  const dice = new Dice(seed)
  const scheduler = new Scheduler(dice)
  return scheduler.govern(() => new History(seed, dice, scheduler, isTold).play())
}

class History {
  readonly #seed: number
  readonly #dice: Dice
  readonly #scheduler: Scheduler
  readonly #lines: string[] = []
  readonly #network: Network
  readonly #hub: Hub
  readonly #append: NaiveAppend
  readonly #markets: readonly Market[]
  #judge: StreamsJudge
  readonly #conductors: Conductors
  readonly #seen: (market: Market, entry: NaiveEntry) => void
  readonly #workers: Worker[] = []
  readonly #parts: WorkerParts
  #lives = 0
  #faults = 0
  #failure: string | null = null
  #isCalm = false
  /** What a replica has got so far; null: there is none, or it lacks whole streams. */
  #replica: unknown = null
  #hasChangedRedis = false
  /** Processes come and go as told, and nothing else happens. */
  readonly #isDeploy: boolean

  constructor(seed: number, dice: Dice, scheduler: Scheduler, isTold: boolean) {
    this.#seed = seed
    this.#dice = dice
    this.#scheduler = scheduler
    const tell = (line: string): void => {
      if (isTold) this.#lines.push(`${(scheduler.elapsedMs / 1_000).toFixed(4)} ${line}`)
    }
    this.#isDeploy = dice.chance(DEPLOYS_SHARE)
    this.#network = new Network(scheduler, dice, this.#isDeploy ? calm : weatherOf(dice), tell)
    this.#hub = new Hub(this.#network)
    const infos = INSTRUMENTS.slice(0, dice.whole(1, INSTRUMENTS.length)).map((name) => info(name))
    const rules = (['TRADE', 'ORDERBOOK', 'TICKER'] as const).map((type) => ({ type, market, instruments: ['*'] }))
    const table = tableOf(rules, infos)
    const topicOf = (name: string, channel: string): string =>
      [...table.routes.values()].find(({ instrument, channel: its }) => instrument === name && its === channel)
        ?.topic ?? ''
    this.#markets = infos.map(
      (one) =>
        new Market(one, {
          trade: topicOf(one.instrument, 'TRADE'),
          book: topicOf(one.instrument, 'ORDERBOOK'),
          ticker: topicOf(one.instrument, 'TICKER'),
        }),
    )
    this.#append = new NaiveAppend(() => Math.round(scheduler.nowMs * 1_000))
    this.#conductors = new Conductors(this.#network, this.#markets, (message) => {
      this.#failure ??= message
    })
    this.#seen = (of, entry) => {
      if (isTold) tell(`stream ${of.info.instrument} ${entry.type} ${entry.venueSeq} seq ${entry.seq} ${entry.source}`)
      if (!entry.type.startsWith('TICKER')) this.#conductors.grown(of, entry)
      if (this.#isDeploy && entry.type.endsWith('.GAP'))
        this.#failure ??= `processes were only exchanged, and a gap is told: ${JSON.stringify(entry)}`
    }
    this.#judge = new StreamsJudge(this.#markets, this.#append, this.#seen)
    const world: Owner = { name: 'redis', state: 'running', backlog: [] }
    this.#parts = {
      ...{ network: this.#network, hub: this.#hub, append: this.#append, table },
      store: new LocalMembers(scheduler.clockOf(world)),
      redundancy: dice.whole(1, 2),
      rest: (owner) => this.#rest(owner),
      bus: (owner, received) => this.#bus(owner, received),
    }
  }

  async play(): Promise<Told> {
    const scheduler = this.#scheduler
    const dice = this.#dice
    for (const one of this.#markets) {
      live(
        one,
        scheduler,
        dice,
        () => this.#pace(),
        (topic, frame) => this.#hub.send(topic, frame, !topic.includes('@ticker')),
      )
    }
    for (let count = dice.whole(1, WORKERS_MAX); count > 0; count--) this.#begin(`worker-${count}`)
    for (let count = dice.whole(0, CONDUCTORS_MAX); count > 0; count--) this.#conductors.begin()
    const stormMs = dice.between(1_500, 6_000)
    const fault = (): void => {
      if (this.#isCalm) return
      this.#fault()
      scheduler.after(dice.between(50, 1_500), null, fault)
    }
    scheduler.after(dice.between(100, 2_000), null, fault)
    const replicate = (): void => {
      if (this.#isCalm || this.#conductors.begun) return
      if (this.#judge.isBegun) this.#replica = this.#append.save()
      scheduler.after(dice.between(100, 1_500), null, replicate)
    }
    scheduler.after(dice.between(100, 1_500), null, replicate)
    scheduler.after(stormMs, null, () => this.#calmDown())
    let judgedMs = stormMs + QUIET_MS
    while (this.#failure === null && (await scheduler.step())) {
      if (scheduler.elapsedMs < judgedMs) continue
      const missing = [...this.#judge.missing(Math.round(scheduler.nowMs * 1_000)), ...this.#conductors.missing()]
      if (missing.length === 0) break
      judgedMs = scheduler.elapsedMs + 500
      if (scheduler.elapsedMs > stormMs + PATIENCE_MS) this.#failure = `lost for good: ${missing.join('; ')}`
    }
    return {
      ...{
        seed: this.#seed,
        failure: this.#failure,
        entries: this.#judge.entries,
        commits: this.#conductors.commits,
        steps: scheduler.steps,
      },
      ...{ faults: this.#faults, simulatedMs: scheduler.elapsedMs, lines: this.#lines },
    }
  }

  /** Nobody can tell a stream that fell silent from one that is slow, so the market goes on until that is found. */
  #pace(): number {
    if (!this.#isCalm || this.#alive.some(({ lines }) => lines.isMute)) return 1
    this.#hub.usualMs = CALM_PACE * 1_000
    return CALM_PACE
  }

  #begin(id: string): void {
    const worker = new Worker(id, ++this.#lives, this.#parts)
    this.#network.tell(`${worker.owner.name}: begins`)
    this.#workers.push(worker)
  }

  get #alive(): Worker[] {
    return this.#workers.filter(({ owner }) => owner.state !== 'dead')
  }

  #fault(): void {
    const dice = this.#dice
    const alive = this.#alive
    const worker = dice.pick(alive)
    const conductor = dice.pick(this.#conductors.alive)
    const kind = dice.pick(this.#isDeploy ? DEPLOYS : FAULTS)
    this.#faults++
    this.#network.tell(`--- ${kind} ${worker?.owner.name ?? ''}`)
    switch (kind) {
      case 'cut':
        worker?.lines.cut()
        break
      case 'half-open':
        worker?.lines.goSilent()
        break
      case 'mute':
        worker?.lines.goMute()
        break
      case 'renew':
        worker?.lines.renew()
        break
      case 'kill':
        if (worker === undefined) break
        worker.owner.state = 'dead'
        this.#scheduler.after(dice.between(10, 3_000), null, () => this.#begin(worker.id))
        break
      case 'pause':
        if (worker?.owner.state === 'running') this.#pause(worker.owner)
        break
      case 'leave':
        if (worker === undefined || worker.leaving || alive.filter(({ leaving }) => !leaving).length < 2) break
        worker.leaving = true
        this.#scheduler.after(0, worker.owner, () => void worker.leave())
        break
      case 'begin':
        if (alive.length < WORKERS_MAX) this.#begin(`worker-${this.#lives + 1}`)
        break
      case 'conductor-kill':
        if (conductor === undefined) break
        conductor.state = 'dead'
        this.#scheduler.after(dice.between(10, 2_000), null, () => this.#conductors.begin())
        break
      case 'conductor-pause':
        if (conductor?.state === 'running') this.#pause(conductor)
        break
      case 'conductor-begin':
        if (this.#conductors.begun && this.#conductors.alive.length < CONDUCTORS_MAX) this.#conductors.begin()
        break
      case 'weather':
        this.#network.weather = weatherOf(dice)
        break
      case 'fail-over':
        this.#failOver()
        break
      case 'other-redis':
        if (dice.chance(0.5)) break
        this.#append.restart()
        this.#hasChangedRedis = true
        break
    }
  }

  /** The replica takes the place of a Redis that was ahead of it. */
  #failOver(): void {
    if (this.#replica === null || this.#conductors.begun) return
    this.#network.tell('a replica answers from now on')
    this.#append.restartWith(this.#replica)
    this.#hasChangedRedis = true
    this.#replica = null
    this.#judge = new StreamsJudge(this.#markets, this.#append, this.#seen)
    this.#examine(() => this.#judge.look())
  }

  #pause(owner: Owner): void {
    owner.state = 'paused'
    this.#scheduler.after(this.#dice.between(20, 4_000), null, () => this.#scheduler.resume(owner))
  }

  #calmDown(): void {
    this.#network.tell('--- calm')
    this.#isCalm = true
    this.#network.weather = calm
    for (const { owner } of this.#workers) this.#scheduler.resume(owner)
    for (const owner of this.#conductors.alive) this.#scheduler.resume(owner)
    if (this.#conductors.begun && this.#conductors.alive.length === 0) this.#conductors.begin()
    if (!this.#alive.some(({ leaving }) => !leaving)) this.#begin('worker-last')
  }

  #bus(owner: Owner, received: Received): EventBus {
    /** When a call was made the first time. */
    const madeMs = new WeakMap<readonly ChannelBatch[], number>()
    return {
      publish: (batches) => {
        const firstMs = madeMs.get(batches) ?? this.#scheduler.nowMs
        madeMs.set(batches, firstMs)
        // As they stand now: the lines go on working with what they offered.
        const sent = batches.map((batch) => ({ ...batch, offers: batch.offers.map((offer) => ({ ...offer })) }))
        return this.#network.call(owner, 'a call to the bus', () => {
          const before = sent.map((batch) => this.#append.entries(nameOf(batch)).length)
          const answer = this.#append.publish(sent)
          this.#examine(() => {
            this.#judge.look()
            for (const [index, batch] of sent.entries()) this.#judgeGaps(batch, before[index] ?? 0, received, firstMs)
          })
          return answer
        })
      },
    }
  }

  /**
   * What is told as missing never came to whoever tells it. Of trades: what a snapshot stands for is let go when the snapshot is
   * offered, and is missing where another process joined the book below it meanwhile; told and closed, if needlessly.
   */
  #judgeGaps(batch: ChannelBatch, before: number, received: Received, madeMs: number): void {
    // What was offered to one Redis with a hole declared below it is offered to the next one just so, whatever came meanwhile.
    if (this.#hasChangedRedis) return
    const entries = this.#append.entries(nameOf(batch))
    const symbol = batch.instrument.replace('-', '')
    for (let at = before; at < entries.length; at++) {
      const entry = entries[at] as NaiveEntry
      if (entry.type === 'TRADE.GAP') received.judge(entry, symbol, madeMs)
    }
  }

  #examine(judge: () => void): void {
    try {
      judge()
    } catch (error) {
      this.#failure ??= (error as Error).message
    }
  }

  #rest(owner: Owner): VenueRest {
    const request = <Answer>(name: string, work: () => Answer) => this.#network.request(owner, name, work)
    const marketOf = (symbol: string): Market => this.#markets.find((one) => one.info.symbol === symbol) as Market
    const nowUs = (): number => Math.round(this.#scheduler.nowMs * 1_000)
    return {
      fetchInstruments: async () => [],
      fetchTime: async () => nowUs(),
      fetchKlines: async () => [],
      fetchBookSnapshot: (symbol) =>
        request(`the book of ${symbol}`, () => {
          const one = marketOf(symbol)
          // A copy of the venue's that lags behind, now and then.
          const lag = this.#dice.chance(0.3) && !this.#isCalm && !this.#isDeploy ? this.#dice.whole(0, 12) : 0
          return one.snapshot(Math.max(0, one.lastUpdate - lag), nowUs())
        }),
      fetchTrades: (symbol, _numbering, fromId, limit) =>
        request(`trades of ${symbol} from ${fromId}`, () => {
          const one = marketOf(symbol)
          const ids = one.trades.map((_, index) => index + 1).filter((id) => id >= fromId)
          const times = { receivedTimeUs: nowUs(), topic: `rest:historicalTrades:${symbol}` }
          return ids.slice(0, limit).map((id) => one.tradeOf(id, times, 'binance.rest.historicalTrades'))
        }),
    }
  }
}

function nameOf({ market, instrument, channel }: ChannelBatch): string {
  return `${market}:${instrument}:${channel}`
}
