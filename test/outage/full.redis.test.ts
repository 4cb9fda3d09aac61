import { expect } from 'chai'
import { Fleet } from '../cluster/fleet.ts'
import { eventually } from '../support/redis.ts'

const PARTITIONS = 16
const OPS = 'meltica:{ops}:events'

/** Whole processes: what an operator sees of a Redis at `maxmemory`, and can do. */
describe('a Redis that is full', function () {
  this.timeout(120_000)
  this.retries(1)
  let fleet: Fleet

  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(fleet.log)
    return fleet.close()
  })

  it('still takes beats and incidents and shows the members; once there is room all goes on', async () => {
    const settings = ['ingest.queueEventsMax=500', 'cluster.handoverMs=2000']
    fleet = await Fleet.open({ instruments: 5, rate: 500, seed: 7, partitions: PARTITIONS, settings })
    for (const id of ['a', 'b']) fleet.startWorker(id)
    await fleet.settled(['a', 'b'], 1, 60_000)
    const { client } = fleet.redis
    const owned = async (): Promise<string> =>
      JSON.stringify([...(await fleet.members())].map(([id, { owns }]) => [id, [...owns]]).sort())
    const before = await owned()

    await client.config('SET', 'maxmemory', '1')
    const fullSinceUs = (await fleet.nowMs()) * 1_000
    const told = await eventually(async () => {
      const entries = await client.xrevrange(OPS, '+', '-', 'COUNT', 200)
      return entries.map(([, fields]) => fields.join(' ')).find((text) => /publish-refused.*\(oom\)/.test(text))
    }, 20_000)
    expect(told).to.include('severity error')
    const length = await fleet.entries()
    // Longer than the expiry and than what a silent member would be spared: both still beat then.
    await eventually(async () => {
      const beating = [...(await fleet.members()).values()].filter(({ seenUs }) => seenUs > fullSinceUs + 6_000_000)
      return beating.length === 2
    }, 20_000)
    expect(await fleet.entries(), 'entries while full').to.equal(length)
    const shown = await fleet.show()
    expect(shown.map(({ worker, state }) => `${worker} ${state}`).sort()).to.deep.equal(['a active', 'b active'])
    expect(await owned()).to.equal(before)
    expect(fleet.log).not.to.match(/member-gone|beats-lost|redis-unfit/)

    await client.config('SET', 'maxmemory', '0')
    await eventually(async () => (await fleet.entries()) > length + 500, 30_000)
    await fleet.settled(['a', 'b'], 1, 60_000)
  })
})
