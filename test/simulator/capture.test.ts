import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import { UnavailableError, UsageError } from '../../src/errors.ts'
import { type CaptureRecord, readCapture } from '../../src/simulator/capture.ts'
import { indexCapture } from '../../src/simulator/capture-index.ts'
import { binanceCaptures, capturePath, needRecording, readCapture as readWhole } from '../support/capture.ts'

describe('the capture reader', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'meltica-reader-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const file = (content: string | Buffer): string => {
    const path = join(folder, 'capture')
    writeFileSync(path, content)
    return path
  }
  const line = (msg: string, more: object = {}): string =>
    JSON.stringify({ ts: 1.5, conn: 'c', kind: 'ws', url: 'wss://x/stream?streams=a@trade', msg, ...more })

  async function readAll(path: string): Promise<CaptureRecord[]> {
    const records: CaptureRecord[] = []
    for await (const batch of readCapture(path)) records.push(...batch)
    return records
  }

  async function failureOf(path: string): Promise<Error> {
    return readAll(path).then(
      () => expect.fail('expected a failure'),
      (error: Error) => error,
    )
  }

  it('reads plain and gzip files alike, whatever their names, with and without a last line feed', async () => {
    const lines = [line('1'), line('2', { ts: null }), line('ü'), line('x'.repeat(700_000))]
    for (const text of [lines.join('\n'), `${lines.join('\n')}\n`]) {
      for (const content of [
        text,
        gzipSync(text),
        Buffer.concat([gzipSync(`${lines[0]}\n`), gzipSync(lines.slice(1).join('\n'))]),
      ]) {
        const records = await readAll(file(content))
        expect(records.map((record) => record.msg)).to.deep.equal(['1', '2', 'ü', 'x'.repeat(700_000)])
        expect(records[1]?.ts).to.equal(null)
      }
    }
  })

  it('says at which line a file stops being a capture', async () => {
    const error = await failureOf(file(`${line('1')}\n{"hello":1}\n`))
    expect(error).to.be.instanceOf(UsageError)
    expect(error.message).to.match(/not a capture: expected at line 2 .*found .*hello/)
    expect(await failureOf(file('\u0000\u0001 binary'))).to.be.instanceOf(UsageError)
  })

  it('tells a missing file and gzip data that ends early apart', async () => {
    expect(await failureOf(join(folder, 'absent'))).to.be.instanceOf(UnavailableError)
    const whole = gzipSync(Array.from({ length: 5000 }, (_, index) => line(String(index * 7919))).join('\n'))
    const error = await failureOf(file(whole.subarray(0, whole.length >> 1)))
    expect(error).to.be.instanceOf(UsageError)
    expect(error.message).to.include('expected whole gzip data')
  })

  it('refuses a capture without anything of Binance', async () => {
    const path = file(line('{}', { url: 'wss://ws.kraken.com/v2' }))
    const error = await indexCapture(path).then(
      () => expect.fail('expected a failure'),
      (cause: Error) => cause,
    )
    expect(error.message).to.include('expected frames of Binance streams')
  })

  it('finds the streams that addresses name and those that only frames show, also without envelope', async () => {
    const path = file(
      [
        line('{"stream":"b@trade","data":{}}'),
        line('{"result":null,"id":1}'),
        line('{"e":"kline","s":"CBTC","k":{"i":"1m"}}', { url: 'wss://x/ws' }),
        line('{"u":1,"s":"CBTC","b":"1","B":"1","a":"2","A":"1"}', { url: 'wss://x/ws' }),
        line('{"e":"depthUpdate","s":"CBTC"}', { url: 'wss://x/ws/cbtc@depth/cbtc@trade' }),
        line('not json', { url: 'wss://x/ws' }),
        line('a fault', { kind: 'fault', url: '' }),
      ].join('\n'),
    )
    const index = await indexCapture(path)
    expect([...index.streams].sort()).to.deep.equal(
      ['a@trade', 'b@trade', 'cbtc@bookTicker', 'cbtc@depth', 'cbtc@kline_1m', 'cbtc@trade'].sort(),
    )
    expect(index.frames).to.equal(4)
  })

  it('counts a frame that begins as another did, and leaves what is broken behind that to the replay', async () => {
    const frame = (stream: string, data: string) => line(`{"stream":"${stream}","data":${data}}`)
    const lines = [frame('b@trade', '{"t":1}'), frame('b@trade', '{"t":2}'), frame('c@trade', '{"t":1}')]
    const index = await indexCapture(
      file([...lines, line('{"stream":"b@trade","data":{}}', { kind: 'sent' })].join('\n')),
    )
    expect([...index.streams].sort()).to.deep.equal(['a@trade', 'b@trade', 'c@trade'])
    expect(index.frames).to.equal(3)
    const asLast = { kind: 'sent', url: 'wss://x/stream' }
    const other = ({ kind = 'ws', url = 'wss://x/stream' }) =>
      JSON.stringify({ ts: 1.5, conn: 'c', msg: '{"stream":"b@trade","data":{}}', kind, url })
    expect((await indexCapture(file([other({}), other(asLast)].join('\n')))).frames, 'another order').to.equal(1)
    const broken = `${(lines[1] as string).slice(0, -8)}\\x"}`
    expect((await indexCapture(file([...lines, broken].join('\n')))).frames).to.equal(4)
    expect((await failureOf(file([...lines, broken].join('\n')))).message).to.include('expected at line 4')
    const unknown = broken.replace('b@trade', 'd@trade')
    const error = await indexCapture(file([...lines, unknown].join('\n'))).then(
      () => expect.fail('expected a failure'),
      (cause: Error) => cause,
    )
    expect(error.message).to.include('expected at line 4')
  })

  for (const name of binanceCaptures) {
    it(`reads every line of ${name}`, async function () {
      needRecording(this, name)
      expect(await readAll(capturePath(name))).to.deep.equal(readWhole(capturePath(name)))
    })
  }
})
