import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { UsageError } from '../../src/errors.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { changeQuantity, corruptQuantity } from '../../src/simulator/corrupt.ts'
import { type Fault, faultNames, Pattern, parseFault, readFaults } from '../../src/simulator/faults.ts'
import {
  attempt,
  CaptureMaker,
  closeAll,
  get,
  post,
  range,
  replayVenue,
  ToldSource,
  turns,
  until,
  VenueClient,
  venue,
} from './venue-client.ts'

describe('fault descriptions', () => {
  const refusal = (text: string): string => {
    try {
      parseFault(text)
    } catch (error) {
      expect(error).to.be.instanceOf(UsageError)
      return (error as Error).message
    }
    return expect.fail('expected a refusal')
  }

  it('are refused with what was expected and what was found', () => {
    expect(refusal('{"at":')).to.include('expected one JSON object')
    expect(refusal('[]')).to.include('expected "fault" to be one of drop, gap')
    expect(refusal('{"fault":"explode"}')).to.include('found "explode"')
    expect(refusal('{"fault":"drop","count":0}')).to.include('count:')
    expect(refusal('{"fault":"drop","at":-1}')).to.include('at:')
    expect(refusal('{"fault":"drop","colour":"red"}')).to.include('colour')
    expect(refusal('{"fault":"clock-skew"}')).to.include('ms:')
    expect(refusal('{"fault":"corrupt","how":"somehow"}')).to.include('how:')
  })

  it('are read from a file line by line, and the line of a wrong one is named', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meltica-faults-'))
    try {
      const file = join(folder, 'faults.jsonl')
      writeFileSync(
        file,
        '# two\n{"at":1,"fault":"drop","stream":"btcusdt@trade","count":3,"for":2}\n\n{"fault":"refuse"}\n',
      )
      expect((await readFaults(file)).map((fault) => fault.fault)).to.deep.equal(['drop', 'refuse'])
      writeFileSync(file, '{"fault":"refuse"}\n{"fault":"x"}\n')
      const error = await readFaults(file).catch((cause: Error) => cause)
      expect((error as Error).message).to.include('line 2')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('match streams by patterns', () => {
    const table: readonly [string, string, boolean][] = [
      ['*', 'btcusdt@trade', true],
      ['btcusdt@trade', 'btcusdt@trade', true],
      ['btcusdt@trade', 'btcusdt@tradeX', false],
      ['btcusdt@bookticker', 'btcusdt@bookTicker', true],
      ['*@depth*', 'ethusdt@depth@100ms', true],
      ['btc*@trade', 'ethusdt@trade', false],
      ['a*a', 'a', false],
    ]
    for (const [pattern, stream, answer] of table)
      expect(new Pattern(pattern).matches(stream), pattern).to.equal(answer)
  })

  it('spoil the quantity of a trade, a quote and a level, and leave what has none', () => {
    expect(corruptQuantity('{"e":"trade","p":"1.5","q":"0.0200"}')).to.equal('{"e":"trade","p":"1.5","q":"0.0x00"}')
    expect(changeQuantity('{"u":1,"b":"9.0","B":"3.50","a":"9.1","A":"1"}')).to.equal(
      '{"u":1,"b":"9.0","B":"4.50","a":"9.1","A":"1"}',
    )
    expect(changeQuantity('{"b":[["1.5","0.00"],["1.4","9.0"]],"a":[]}')).to.equal(
      '{"b":[["1.5","0.00"],["1.4","1.0"]],"a":[]}',
    )
    expect(corruptQuantity('{"b":[["1.5","0.00"]],"a":[]}')).to.equal(null)
  })
})

describe('faults', () => {
  afterEach(closeAll)

  async function open(faults: readonly object[] = [], streams = 'a@trade/b@trade') {
    const clock = new ManualClock()
    const source = new ToldSource()
    const parsed = faults.map((fault) => parseFault(JSON.stringify(fault)))
    const simulator = await venue(source, { clock, faults: parsed })
    const client = await VenueClient.open(`${simulator.ws}/stream?streams=${streams}`)
    await until(() => source.subscribedStreams.size === streams.split('/').length)
    return { ...simulator, clock, source, client }
  }
  type Opened = Awaited<ReturnType<typeof open>>

  function emit({ source }: Opened, from: number, to: number, stream = 'a@trade'): void {
    for (const id of range(from, to)) source.emit(stream, `{"t":${id},"q":"1.25"}`)
  }
  const tell = (opened: Opened, fault: object): Promise<{ status: number; body: unknown }> =>
    post(`${opened.rest}/simulator/faults`, JSON.stringify(fault))
  const applied = async (opened: Opened): Promise<number[]> =>
    ((await opened.state()).faults as { applied: number }[]).map((fault) => fault.applied)

  /** Emits ids from 1, sees what arrives. A last frame of stream b shows that all has. */
  async function idsAfter(opened: Opened, count = 10): Promise<number[]> {
    emit(opened, 1, count)
    emit(opened, 999, 999, 'b@trade')
    await until(() => opened.client.tradeIds.includes(999))
    return opened.client.tradeIds.filter((id) => id !== 999)
  }

  it('drop: counted frames of the stream are missing, and the source is told which', async () => {
    const opened = await open([{ fault: 'drop', stream: 'a@trade', count: 3 }])
    expect(await idsAfter(opened)).to.deep.equal(range(4, 10))
    expect(opened.source.applied.map((record) => [record.fault, record.id, record.stream, record.data])).to.deep.equal(
      range(1, 3).map((id) => ['drop', 1, 'a@trade', `{"t":${id},"q":"1.25"}`]),
    )
    expect(await applied(opened)).to.deep.equal([3])
  })

  it('drop: begins at its time since the first frame and lasts as long as it says', async () => {
    const opened = await open([{ fault: 'drop', at: 2, for: 3, stream: 'a*' }])
    opened.clock.advance(60_000)
    emit(opened, 1, 1)
    opened.clock.advance(1999)
    emit(opened, 2, 2)
    opened.clock.advance(1)
    emit(opened, 3, 4)
    opened.clock.advance(2999)
    emit(opened, 5, 5)
    opened.clock.advance(1)
    emit(opened, 6, 6)
    await until(() => opened.client.tradeIds.includes(6))
    expect(opened.client.tradeIds).to.deep.equal([1, 2, 6])
  })

  it('drop: by chance drops the same frames for the same seed', async () => {
    const runs: number[][] = []
    for (let run = 0; run < 2; run++)
      runs.push(await idsAfter(await open([{ fault: 'drop', stream: 'a@trade', probability: 0.5, for: 9 }]), 50))
    expect(runs[0]).to.deep.equal(runs[1])
    expect(runs[0]?.length).to.be.within(10, 40)
  })

  it('gap: a run of each matching stream is missing', async () => {
    const opened = await open([{ fault: 'gap', count: 4 }])
    emit(opened, 101, 106, 'b@trade')
    expect(await idsAfter(opened)).to.deep.equal([105, 106, ...range(5, 10)])
  })

  it('duplicate, reorder, delay: frames come twice, swapped, late', async () => {
    const twice = await open([{ fault: 'duplicate', stream: 'a@trade', count: 2 }])
    expect(await idsAfter(twice, 4)).to.deep.equal([1, 1, 2, 2, 3, 4])
    const swapped = await open([{ fault: 'reorder', stream: 'a@trade', count: 2 }])
    expect(await idsAfter(swapped, 6)).to.deep.equal([2, 1, 4, 3, 5, 6])
    const late = await open([{ fault: 'delay', stream: 'a@trade', ms: 700 }])
    expect(await idsAfter(late, 4)).to.deep.equal([2, 3, 4])
    late.clock.advance(700)
    await until(() => late.client.tradeIds.at(-1) === 1)
  })

  it('reorder: the last frame of a stream is not kept for ever', async () => {
    const opened = await open([{ fault: 'reorder', stream: 'a@trade' }])
    expect(await idsAfter(opened, 1)).to.deep.equal([])
    opened.clock.advance(5000)
    await until(() => opened.client.tradeIds.includes(1))
  })

  it('delay, reorder: a line shows nothing from before it was subscribed', async () => {
    for (const fault of ['delay', 'reorder']) {
      const opened = await open([{ fault, stream: 'a@trade' }])
      emit(opened, 1, 1)
      const later = await VenueClient.open(`${opened.ws}/stream?streams=a@trade`)
      await later.ask({ method: 'LIST_SUBSCRIPTIONS', id: 1 })
      opened.clock.advance(5000)
      emit(opened, 2, 2)
      await until(() => later.tradeIds.includes(2) && opened.client.tradeIds.length === 2)
      expect([later.tradeIds, opened.client.tradeIds.toSorted()]).to.deep.equal([[2], [1, 2]])
    }
  })

  it('corrupt: the quantity is no number, another number, or the frame is cut', async () => {
    const faults = ['quantity', 'value', 'truncated'].map((how) => ({ fault: 'corrupt', stream: 'a@trade', how }))
    const opened = await open(faults)
    expect(await idsAfter(opened, 4)).to.deep.equal([1, 2, 4])
    expect(opened.client.frames[0]).to.equal('{"stream":"a@trade","data":{"t":1,"q":"1.x5"}}')
    expect(opened.client.frames[1]).to.equal('{"stream":"a@trade","data":{"t":2,"q":"2.25"}}')
    expect(() => JSON.parse(opened.client.frames[2] ?? '')).to.throw()
    expect(await applied(opened)).to.deep.equal([1, 1, 1])
  })

  it('half-open: the connection stays, sends nothing and answers nothing, while a new one works, and is reset in the end', async () => {
    const opened = await open()
    await tell(opened, { fault: 'half-open', for: 30 })
    opened.client.send({ method: 'LIST_SUBSCRIPTIONS', id: 1 })
    emit(opened, 1, 1)
    const other = await VenueClient.open(`${opened.ws}/stream?streams=a@trade`)
    await other.ask({ method: 'LIST_SUBSCRIPTIONS', id: 1 })
    emit(opened, 2, 2)
    await until(() => other.tradeIds.includes(2))
    opened.clock.advance(29_000)
    await turns()
    expect([opened.client.frames, opened.client.pings, opened.client.closed]).to.deep.equal([[], [], null])
    expect(other.pings.length).to.be.greaterThan(0)
    opened.clock.advance(1000)
    await until(() => opened.client.closed !== null)
    expect([opened.client.frames, opened.client.closed]).to.deep.equal([[], { code: 1006 }])
  })

  it('silent: the stream is acknowledged and does not flow until it is subscribed again, however soon the fault is over', async () => {
    const opened = await open()
    await tell(opened, { fault: 'silent', stream: 'a@trade', for: 1 })
    opened.clock.advance(1000)
    expect(await idsAfter(opened, 3)).to.deep.equal([])
    await opened.client.ask({ method: 'UNSUBSCRIBE', params: ['a@trade'], id: 1 })
    await opened.client.ask({ method: 'SUBSCRIBE', params: ['a@trade'], id: 2 })
    emit(opened, 4, 4)
    await until(() => opened.client.tradeIds.includes(4))
  })

  it('silent: strikes the next subscriptions where there is none yet, as many in a row as told', async () => {
    const opened = await open([], 'b@trade')
    await tell(opened, { fault: 'silent', stream: 'a@*', count: 2 })
    for (const id of [1, 2, 3]) {
      await opened.client.ask({ method: 'SUBSCRIBE', params: ['a@trade'], id })
      emit(opened, id, id)
      await opened.client.ask({ method: 'UNSUBSCRIBE', params: ['a@trade'], id })
      opened.clock.advance(1000)
    }
    expect(opened.client.tradeIds).to.deep.equal([3])
    expect(await applied(opened)).to.deep.equal([2])
  })

  it('disconnect: ends the connections that carry the stream, others stay', async () => {
    const opened = await open([], 'a@trade')
    const other = await VenueClient.open(`${opened.ws}/stream?streams=c@trade`)
    await until(() => opened.source.subscribedStreams.has('c@trade'))
    await tell(opened, { fault: 'disconnect', stream: 'a@*' })
    await until(() => opened.client.closed !== null)
    expect(opened.client.closed).to.deep.equal({ code: 1006 })
    await tell(opened, { fault: 'disconnect', how: 'close' })
    await until(() => other.closed !== null)
    expect(other.closed).to.deep.equal({ code: 1001 })
  })

  it('refuse: nobody is let in until it is over', async () => {
    const opened = await open()
    await tell(opened, { fault: 'refuse', for: 2 })
    expect(await attempt(`${opened.ws}/ws`)).to.equal(503)
    await tell(opened, { fault: 'refuse', for: 1, how: 'reset' })
    opened.clock.advance(2000)
    expect(await attempt(`${opened.ws}/ws`)).to.equal('open')
    await tell(opened, { fault: 'refuse', count: 1, how: 'reset' })
    expect(await attempt(`${opened.ws}/ws`)).to.equal(0)
    expect(await attempt(`${opened.ws}/ws`)).to.equal('open')
  })

  it('lifetime: connections end at that age, or those that stand at once', async () => {
    const opened = await open()
    await tell(opened, { fault: 'lifetime', seconds: 3, for: 100 })
    opened.clock.advance(2900)
    await turns()
    expect(opened.client.closed).to.equal(null)
    opened.clock.advance(500)
    await until(() => opened.client.closed !== null)
    const other = await VenueClient.open(`${opened.ws}/ws`)
    await tell(opened, { fault: 'lifetime' })
    await until(() => other.closed !== null)
  })

  it('serverShutdown: is announced in the form of the connection, and the end follows', async () => {
    const opened = await open()
    const raw = await VenueClient.open(`${opened.ws}/ws`)
    await tell(opened, { fault: 'serverShutdown', delay: 4 })
    await until(() => opened.client.frames.length === 1 && raw.frames.length === 1)
    expect(JSON.parse(opened.client.frames[0] ?? '')).to.have.nested.property('data.e', 'serverShutdown')
    expect(JSON.parse(opened.client.frames[0] ?? '')).to.have.property('stream', '!serverShutdown')
    expect(JSON.parse(raw.frames[0] ?? '')).to.have.property('e', 'serverShutdown')
    const fresh = await VenueClient.open(`${opened.ws}/ws`)
    opened.clock.advance(4000)
    await until(() => opened.client.closed !== null && raw.closed !== null)
    expect(fresh.closed).to.equal(null)
  })

  it('rest-slow and rest-5xx: answers are late or fail, on the paths they name', async () => {
    const opened = await open()
    await tell(opened, { fault: 'rest-5xx', path: '*/depth', status: 502, count: 1 })
    expect((await get(`${opened.rest}/api/v3/time`)).status).to.equal(200)
    expect((await get(`${opened.rest}/api/v3/depth`)).status).to.equal(502)
    expect((await get(`${opened.rest}/api/v3/depth`)).status).to.equal(200)
    await tell(opened, { fault: 'rest-slow', ms: 5000 })
    let answered = false
    const slow = get(`${opened.rest}/api/v3/time`).then(() => {
      answered = true
    })
    while ((await applied(opened))[1] !== 1) await turns(1)
    await turns()
    expect(answered).to.equal(false)
    opened.clock.advance(5000)
    await slow
  })

  it('rest-429 and rest-418: all are refused until Retry-After is over, and who asks meanwhile is counted', async () => {
    const opened = await open()
    for (const [fault, status] of [
      ['rest-429', 429],
      ['rest-418', 418],
    ] as const) {
      await tell(opened, { fault, retryAfter: 3 })
      const first = await get(`${opened.rest}/api/v3/time`)
      expect([first.status, first.headers.get('retry-after')]).to.deep.equal([status, '3'])
      expect(first.body).to.have.property('code', -1003)
      opened.clock.advance(1500)
      const second = await get(`${opened.rest}/api/v3/depth`)
      expect([second.status, second.headers.get('retry-after')]).to.deep.equal([status, '2'])
      opened.clock.advance(1500)
      expect((await get(`${opened.rest}/api/v3/time`)).status).to.equal(200)
    }
    expect((await opened.state()).violations).to.have.property('askedWhileRefused', 2)
  })

  it('snapshot-old: the answer is too old to be joined, and the line of a replay is not used up by it', async () => {
    const file = new CaptureMaker().trades('abtc', 1, 1).depth('abtc', 5_000_000).write()
    const faults = [parseFault('{"fault":"snapshot-old"}')] as readonly Fault[]
    const simulator = await replayVenue(file, {}, { faults })
    await VenueClient.open(`${simulator.ws}/stream?streams=abtc@trade`)
    const ids: number[] = []
    for (let times = 0; times < 2; times++) {
      ids.push(
        ((await get(`${simulator.rest}/api/v3/depth?symbol=ABTC`)).body as { lastUpdateId: number }).lastUpdateId,
      )
    }
    expect(ids).to.deep.equal([4_000_000, 5_000_000])
  })

  it("clock-skew: the venue's clock is off", async () => {
    const opened = await open()
    opened.source.answer = { status: 200, body: '{"serverTime":1000}' }
    await tell(opened, { fault: 'clock-skew', ms: -400, for: 5 })
    for (let times = 0; times < 2; times++)
      expect((await get(`${opened.rest}/api/v3/time`)).body).to.deep.equal({ serverTime: 600 })
    opened.clock.advance(5000)
    expect((await get(`${opened.rest}/api/v3/time`)).body).to.deep.equal({ serverTime: 1000 })
  })

  it('are told by request, numbered, shown, and refused with a clear 400', async () => {
    const opened = await open()
    expect(await tell(opened, { fault: 'drop', at: 3 })).to.deep.equal({ status: 200, body: { id: 1 } })
    const refused = await tell(opened, { fault: 'drip' })
    expect(refused.status).to.equal(400)
    expect((refused.body as { error: string }).error).to.include('one of drop')
    const state = (await get(`${opened.rest}/simulator/state`)).body as { faults: unknown[] }
    expect(state.faults).to.deep.equal([
      { id: 1, fault: 'drop', at: 3, stream: '*', probability: 1, stage: 'told', applied: 0 },
    ])
    emit(opened, 1, 1)
    opened.clock.advance(3000)
    emit(opened, 2, 3)
    await until(() => opened.client.tradeIds.includes(3))
    expect(opened.client.tradeIds).to.deep.equal([1, 3])
  })

  it('exist for everything that was promised', () => {
    const promised =
      'drop gap duplicate reorder delay corrupt half-open silent disconnect refuse lifetime serverShutdown rest-slow rest-5xx rest-429 rest-418 snapshot-old clock-skew'
    expect([...faultNames]).to.deep.equal(promised.split(' '))
  })
})
