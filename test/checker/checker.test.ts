import { expect } from 'chai'
import fc from 'fast-check'
import { checkStreams } from '../../src/checker/checker.ts'
import { correctRun, randomOf } from './correct-run.ts'
import { mutations } from './mutations.ts'

describe('the checker on a correct run', () => {
  for (const seed of [1, 2, 3])
    it(`finds nothing wrong, whole or within the window, with seed ${seed}`, async () => {
      for (const whole of [true, false]) {
        const run = correctRun(seed)
        const result = await checkStreams(run, run.ledger, { whole })
        expect(result.examples).to.deep.equal([])
        expect(result).to.include({ ok: true, channels: 5 })
        expect(result.notes.gaps).to.equal(7)
        expect(result.notes.booksCompared).to.be.greaterThan(60)
      }
    })
})

describe('the checker on a spoilt run', () => {
  for (const mutation of mutations)
    it(`finds that ${mutation.name}`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.nat(), async (seed) => {
          const run = correctRun(seed)
          mutation.spoil(run, randomOf(seed + 1))
          const result = await checkStreams(run, run.ledger, { whole: true })
          const found = mutation.finds.filter((kind) => result.wrong[kind] !== undefined)
          if (found.length === 0) throw new Error(`expected one of ${mutation.finds}, found ${JSON.stringify(result)}`)
          expect(result.ok).to.equal(false)
          expect(result.examples.map(({ kind }) => kind)).to.include(found[0])
        }),
        { numRuns: 8 },
      )
    })
})

describe('the checker and merged deltas', () => {
  /** Joins two deltas in a row into one; `spoil` changes what it says. */
  async function withOneMerged(spoil: (data: Data) => void = () => undefined) {
    const run = correctRun(12)
    const entries = run.of('ORDERBOOK')
    const at = entries.findIndex(({ type, data }, index) => {
      const after = entries[index + 1]
      const isRow = type === 'ORDERBOOK.DELTA' && after?.type === 'ORDERBOOK.DELTA'
      return index > 5 && isRow && Number(after.data.first) === Number(data.last) + 1
    })
    const [one, other] = entries.splice(at, 2).map((entry) => entry as (typeof entries)[number])
    const side = (name: string) => {
      const levels = [...((one?.data[name] ?? []) as Level[]), ...((other?.data[name] ?? []) as Level[])]
      return [...new Map(levels.map((level) => [level[0], level])).values()]
    }
    const data: Data = { ...other?.data, first: one?.data.first, bids: side('bids'), asks: side('asks'), merged: 1 }
    spoil(data)
    entries.splice(at, 0, { ...(other as (typeof entries)[number]), data })
    run.renumber('ORDERBOOK')
    return checkStreams(run, run.ledger, { whole: true })
  }

  it('takes one for as many as it says, and the book after it counts', async () => {
    const result = await withOneMerged()
    expect(result.examples).to.deep.equal([])
    expect(result.notes.merged).to.equal(1)
  })

  it('finds a level that is not what the deltas one by one would have left', async () => {
    const { wrong } = await withOneMerged((data) => {
      data.bids = [...(data.bids as Level[]), ['0.01', '5']]
    })
    expect(wrong).to.have.property('falseBook')
  })

  it('finds one that stands for fewer than are missing', async () => {
    const { wrong } = await withOneMerged((data) => {
      delete data.merged
    })
    expect(wrong).to.have.property('differs')
  })
})

describe('the window of the checker', () => {
  it('leaves out what came before the first and after the last entry, unless the whole ledger is asked for', async () => {
    const run = correctRun(7)
    for (const channel of ['TRADE', 'QUOTE', 'TICKER', 'KLINE']) {
      run.of(channel).splice(0, 3)
      run.of(channel).splice(-3)
      run.renumber(channel)
    }
    run.of('ORDERBOOK').splice(-3)
    const result = await checkStreams(run, run.ledger)
    expect(result.examples).to.deep.equal([])
    expect(result.notes.outsideWindow).to.be.greaterThan(20)
    const whole = await checkStreams(run, run.ledger, { whole: true })
    expect(whole.wrong.lost).to.be.greaterThan(20)
  })

  it('is closed to a stream that retention has cut, and says how much was cut', async () => {
    const run = correctRun(8)
    run.of('QUOTE').splice(0, 10)
    const result = await checkStreams(run, run.ledger)
    expect(result).to.include({ ok: true })
    expect(result.notes.trimmed).to.equal(10)
  })

  it('knows nothing of a ledger of other instruments', async () => {
    const run = correctRun(9)
    const other = run.ledger.map((line) => line.replaceAll('BTCUSDT', 'ETHUSDT'))
    const result = await checkStreams(run, other)
    expect(result.ok).to.equal(false)
    expect(result.notes.absent).to.equal(other.length)
  })

  it('reads a ledger line by line and passes over what holds no event', async () => {
    const run = correctRun(10)
    const fault = JSON.stringify({ ts: 1, conn: 'faults', kind: 'fault', url: '', msg: '' })
    const result = await checkStreams(run, ['', 'no json', fault, ...run.ledger], { whole: true })
    expect(result.ok).to.equal(true)
    expect(result.notes).to.include({ faults: 1, skipped: 2 })
  })
})

describe('the checker and the faults of a ledger', () => {
  /** Takes an entry that no GAP follows out of the stream, and adds the line of a fault that struck its frame. */
  async function withoutOne(
    channel: string,
    stream: string,
    fault: string,
    fits: (data: Data) => boolean = () => true,
  ) {
    const run = correctRun(11)
    const entries = run.of(channel)
    const at = entries.findIndex(
      ({ type, data }, index) =>
        index > 2 && !type.endsWith('.GAP') && fits(data) && !entries[index + 1]?.type.endsWith('.GAP'),
    )
    const [gone] = entries.splice(at, 1)
    run.renumber(channel)
    const place = Number(gone?.data.openTime && channel === 'KLINE' ? gone.data.openTime : gone?.venueSeq)
    const lineAt = run.ledger.findIndex((line) => {
      const { stream: name, data } = JSON.parse((JSON.parse(line) as { msg: string }).msg) as Message
      if (name !== stream) return false
      if (data.k) return data.k.t * 1000 === place && data.k.x === gone?.data.closed
      return (data.u ?? data.C * 1000) === place
    })
    const struck = (JSON.parse(JSON.parse(run.ledger[lineAt] ?? '{}').msg) as Message).data
    const line = { ts: 1, conn: 'faults', kind: 'fault', url: '', msg: JSON.stringify(struck), fault, stream, id: 1 }
    run.ledger.splice(lineAt + 1, 0, JSON.stringify(line))
    return checkStreams(run, run.ledger)
  }

  for (const fault of ['drop', 'gap', 'reorder', 'delay', 'corrupt'])
    it(`does not call an update lost that the venue tells only once and a ${fault} took from every client`, async () => {
      for (const [channel, stream] of [
        ['QUOTE', 'btcusdt@bookTicker'],
        ['TICKER', 'btcusdt@ticker'],
      ] as const) {
        const result = await withoutOne(channel, stream, fault)
        expect(result.examples).to.deep.equal([])
        expect(result.notes.struck).to.equal(1)
      }
    })

  it('calls it lost when the fault was another', async () => {
    const result = await withoutOne('QUOTE', 'btcusdt@bookTicker', 'duplicate')
    expect(result.wrong).to.deep.equal({ lost: 1 })
  })

  it('calls a dropped closed bar lost, because REST can tell it', async () => {
    const result = await withoutOne(
      'KLINE',
      'btcusdt@kline_1s',
      'drop',
      ({ closed, interval }) => closed === true && interval === '1s',
    )
    expect(result.wrong).to.include({ lost: 1 })
  })
})

type Level = readonly [string, string]
type Data = Record<string, unknown>
interface Message {
  readonly stream?: string
  readonly data: {
    readonly u?: number
    readonly C: number
    readonly k?: { readonly t: number; readonly x: boolean }
  }
}
