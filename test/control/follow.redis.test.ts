import { expect } from 'chai'
import fc from 'fast-check'
import type { CommandInput, CommandStory } from '../../src/control/contract.ts'
import { eventually } from '../support/redis.ts'
import { TableFleet } from './table-fleet.ts'
import { ControlBench, command, subscribe } from './world.ts'

const SEED = Number(process.env.MELTICA_CONTROL_SEED ?? Math.floor(Math.random() * 2 ** 31))
const COMMANDS = Number(process.env.MELTICA_CONTROL_COMMANDS ?? 40)

describe('ingest processes that follow one table', function () {
  this.timeout(60_000 + COMMANDS * 2_000)
  let fleet: TableFleet
  let gateways: ControlBench[]

  before(async () => {
    fleet = await TableFleet.open({ instruments: 6, rate: 1_500, seed: SEED, settings: ['routes=[]'] })
    for (const id of ['a', 'b', 'c']) fleet.start(id, 'ingest')
    await fleet.settled('a', 'b', 'c')
    gateways = [new ControlBench(fleet.redis.url, 'meltica'), new ControlBench(fleet.redis.url, 'meltica')]
    await Promise.all(gateways.map((gateway) => gateway.connection.ready()))
  })

  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(`seed ${SEED}\n${fleet.log}`)
  })

  after(async () => {
    await Promise.all(gateways.map((gateway) => gateway.close()))
    await fleet.close()
  })

  async function issue(gateway: ControlBench, input: CommandInput): Promise<{ story: CommandStory; ms: number }> {
    const beganMs = performance.now()
    const { status } = await gateway.client.submit(input)
    expect(status).to.equal('accepted')
    const story = await gateway.client.waitFor(input.id, 5_000)
    if (story === null) throw new Error(`expected a story of ${input.id}, found none`)
    return { story, ms: performance.now() - beganMs }
  }

  it('make random subscriptions flow and stop in time, and leave nothing at the venue', async () => {
    const random = fc.sample(fc.record({ gateway: fc.nat(1), pick: fc.nat(1_000_000), starts: fc.boolean() }), {
      numRuns: COMMANDS,
      seed: SEED,
    })
    const wishes = ['BTC-USDT', 'ETH-USDT', 'BNB-USDT'].flatMap((instrument) =>
      (['TRADE', 'QUOTE', 'ORDERBOOK'] as const).map((type) => ({ instrument, type })),
    )
    const open: string[] = []
    const times: number[] = []
    const failed: CommandStory[] = []
    for (const [number, { gateway, pick, starts }] of random.entries()) {
      const issuer = gateways[gateway] as ControlBench
      const wish = wishes[pick % wishes.length] as (typeof wishes)[number]
      const [id] = starts || open.length === 0 ? [] : open.splice(pick % open.length, 1)
      const input =
        id === undefined
          ? subscribe(`s${number}`, wish.instrument, wish.type)
          : command('unsubscribe', { subscriptionId: id })
      if (id === undefined) open.push(`s${number}`)
      const { story, ms } = await issue(issuer, input)
      times.push(ms)
      if (story.status !== 'effective') failed.push(story)
    }
    for (const id of open) {
      const { story, ms } = await issue(gateways[0] as ControlBench, command('unsubscribe', { subscriptionId: id }))
      times.push(ms)
      if (story.status !== 'effective') failed.push(story)
    }
    times.sort((a, b) => a - b)
    const [p50, p95] = [times[Math.floor(times.length / 2)], times[Math.floor(times.length * 0.95)]]
    console.log(`      ${times.length} commands: p50 ${p50?.toFixed(0)} ms, p95 ${p95?.toFixed(0)} ms, seed ${SEED}`)
    expect(failed).to.deep.equal([])
    expect(p50).to.be.below(1_000)
    expect(p95).to.be.below(2_000)
    const { streams, violations } = await eventually(async () => {
      const state = await fleet.venueState()
      return state.streams.length === 0 && state
    })
    expect(streams).to.deep.equal([])
    expect(
      Object.values(violations).every((count) => count === 0),
      JSON.stringify(violations),
    ).to.equal(true)
  })
})
