import { expect } from 'chai'
import fc from 'fast-check'
import { schemaFiles, staleFiles } from '../../scripts/schemas.ts'
import { channelOf, decodeEntry, ENTRY_FIELDS } from '../../src/bus/contract.ts'
import { ledgerMemberSchema } from '../../src/bus/schema.ts'
import { schemaProblems } from '../support/json-schema.ts'

const trade: Record<string, string> = {
  v: '1',
  type: 'TRADE',
  market: 'BINANCE-SPOT',
  instrument: 'BTC-USDT',
  epoch: '1700000000000000',
  seq: '1',
  key: 'BTC-USDT:TRADE:7',
  venueSeq: '7',
  venueTime: '1700000000000000',
  receivedTime: '1700000000000100',
  source: 'binance.ws.trade',
  trace: '0123456789abcdef0123456789abcdef',
  quality: '',
  data: '{"id":"7","price":"1.50000000","quantity":"0.10","side":"buy"}',
}
const withData = (type: string, data: unknown): Record<string, string> => ({
  ...trade,
  type,
  data: typeof data === 'string' ? data : JSON.stringify(data),
})

describe('the wire contract', () => {
  it('names 14 fields, and an entry carries them in this order', () => {
    expect(ENTRY_FIELDS).to.have.length(14)
    expect(Object.keys(trade)).to.deep.equal([...ENTRY_FIELDS])
    const schema = JSON.parse(schemaFiles().get('entry.json') as string)
    expect(Object.keys(schema.properties)).to.deep.equal([...ENTRY_FIELDS])
    expect(schema.required).to.deep.equal([...ENTRY_FIELDS])
  })

  it('admits an entry as an object and as the flat list Redis answers, and keeps the digits', () => {
    for (const form of [trade, Object.entries(trade).flat()]) {
      const decoded = decodeEntry(form)
      if (!decoded.ok) throw new Error(decoded.problem)
      expect(decoded.entry).to.include({ type: 'TRADE', seq: '1', quality: '' })
      expect(decoded.entry.data).to.deep.equal({ id: '7', price: '1.50000000', quantity: '0.10', side: 'buy' })
    }
  })

  const refusals: [string, Record<string, string>, RegExp][] = [
    ['another version', { ...trade, v: '2' }, /^entry, v: .*found "2"/],
    ['an unknown type', { ...trade, type: 'TRADES' }, /^entry, type: /],
    ['a seq that begins with zero', { ...trade, seq: '01' }, /^entry, seq: .*found "01"/],
    ['a seq of zero', { ...trade, seq: '0' }, /^entry, seq: /],
    ['a time with a fraction', { ...trade, receivedTime: '1.5' }, /^entry, receivedTime: /],
    ['a trace that is none', { ...trade, trace: 'xyz' }, /^entry, trace: /],
    ['the word LIVE, which is written as the empty word', { ...trade, quality: 'LIVE' }, /^entry, quality: /],
    ['data that is no JSON', withData('TRADE', '{"id":'), /^data: expected JSON/],
    [
      'an id that is a number',
      withData('TRADE', { id: 7, price: '1', quantity: '1', side: 'buy' }),
      /^data of TRADE, id: /,
    ],
    ['a price that is a number', withData('TRADE', { id: '7', price: 1, quantity: '1', side: 'buy' }), /, price: /],
    ['a negative price', withData('TRADE', { id: '7', price: '-1', quantity: '1', side: 'buy' }), /, price: /],
    ['a side that is none', withData('TRADE', { id: '7', price: '1', quantity: '1', side: 'BUY' }), /, side: /],
    ['a gap without its range', withData('TRADE.GAP', { cause: 'lost' }), /^data of TRADE.GAP: /],
    ['a gap with half a range', withData('ORDERBOOK.GAP', { from: '7', cause: 'lost' }), /^data of ORDERBOOK.GAP: /],
    [
      'a gap of an unknown cause',
      withData('TRADE.GAP', { from: '7', to: '9', cause: 'bored' }),
      /^data of TRADE.GAP: /,
    ],
    [
      'a quote gap whose times are text',
      withData('QUOTE.GAP', { from: '7', to: '9', cause: 'lost' }),
      /^data of QUOTE.GAP: /,
    ],
    [
      'a level of three',
      withData('ORDERBOOK.DELTA', { first: '1', last: '2', bids: [['1', '2', '3']], asks: [] }),
      /bids\.0/,
    ],
  ]
  for (const [what, fields, problem] of refusals)
    it(`refuses ${what}, in words`, () => {
      const decoded = decodeEntry(fields)
      expect(decoded.ok).to.equal(false)
      if (!decoded.ok) expect(decoded.problem).to.match(problem)
    })

  it('refuses an entry that lacks any of its fields, and never throws on arbitrary ones', () => {
    for (const field of ENTRY_FIELDS) {
      const { [field]: _, ...rest } = trade
      expect(decodeEntry(rest).ok, field).to.equal(false)
    }
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...ENTRY_FIELDS), fc.string()), (fields) => !decodeEntry(fields).ok),
    )
  })

  it('admits a gap without a range only where the numbering was reset', () => {
    expect(decodeEntry(withData('TRADE.GAP', { cause: 'venue-reset' })).ok).to.equal(true)
    expect(decodeEntry(withData('TRADE.GAP', { from: '7', to: '9', cause: 'disconnect' })).ok).to.equal(true)
    expect(decodeEntry(withData('KLINE.GAP', { from: 7, to: 9, cause: 'lost', interval: '1m' })).ok).to.equal(true)
  })

  it('finds the channel of a type in its first segment', () => {
    expect(channelOf('TRADE')).to.equal('TRADE')
    expect(channelOf('ORDERBOOK.SNAPSHOT')).to.equal('ORDERBOOK')
  })
})

describe('the JSON Schemas', () => {
  it('are those the code makes', () => {
    expect(staleFiles('schemas')).to.deep.equal([])
  })

  it('are found stale, missing or left over by name', () => {
    const files = schemaFiles()
    files.set('entry.json', '{}\n')
    files.set('NEW.json', '{}\n')
    files.delete('TRADE.json')
    expect(staleFiles('schemas', files)).to.deep.equal([
      'entry.json is stale',
      'NEW.json is missing',
      'TRADE.json belongs to no schema',
    ])
  })

  it('say the same as the code about right and wrong payloads', () => {
    const schema = (name: string) => JSON.parse(schemaFiles().get(`${name}.json`) as string)
    expect(schemaProblems(schema('entry'), trade)).to.deep.equal([])
    expect(schemaProblems(schema('entry'), { ...trade, seq: '01' })).to.have.length(1)
    expect(schemaProblems(schema('TRADE'), { id: 7, price: '1', quantity: '1', side: 'buy' })).to.have.length(1)
    expect(schemaProblems(schema('TRADE.GAP'), { cause: 'lost' })).to.have.length(1)
    expect(schemaProblems(schema('TRADE.GAP'), { cause: 'venue-reset' })).to.deep.equal([])
    const open = { from: '7', to: '9', cause: 'lost', openedAt: 5, filledAt: null, how: null }
    expect(schemaProblems(schema('ledger-member'), open)).to.deep.equal([])
    expect(ledgerMemberSchema.safeParse(open).success).to.equal(true)
    expect(schemaProblems(schema('ledger-member'), { ...open, openedAt: '5' })).to.have.length(1)
  })
})
