import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { firstLine, meltica, startMeltica } from './run.ts'

const CAPTURE = join(process.env.MELTICA_RECORDINGS ?? '../shared', 'captures/binance-spot-4sym-20211012.jsonl.gz')

describe('meltica simulate', () => {
  before(function () {
    if (!existsSync(CAPTURE)) this.skip()
  })

  it('says its addresses as JSON in the first line, answers there, and ends with 0 on SIGTERM', async () => {
    const child = startMeltica(['simulate', '--replay', CAPTURE])
    const { ws, rest } = JSON.parse(await firstLine(child)) as { ws: string; rest: string }
    expect(ws).to.match(/^ws:\/\/127\.0\.0\.1:\d+$/)
    expect((await fetch(`${rest}/api/v3/time`)).status).to.equal(200)
    const endedMs = Date.now()
    child.kill('SIGTERM')
    const [code] = await once(child, 'close')
    expect(code).to.equal(0)
    expect(Date.now() - endedMs).to.be.below(5000)
  })

  it('ends by itself after the time it was given', async () => {
    const { code, out } = await meltica(['simulate', '--replay', CAPTURE, '--for', '50ms'])
    expect(code).to.equal(0)
    expect(out.trim().split('\n')).to.have.length(1)
  })

  it('says in one message that its port is taken, and exits with 1', async () => {
    const first = startMeltica(['simulate', '--replay', CAPTURE])
    const { port } = new URL((JSON.parse(await firstLine(first)) as { ws: string }).ws)
    const { code, err } = await meltica(['simulate', '--replay', CAPTURE, '--port', port])
    first.kill('SIGTERM')
    await once(first, 'close')
    expect(code).to.equal(1)
    expect(err.trim()).to.match(/^meltica: expected to listen on 127\.0\.0\.1:\d+, but the port is taken$/)
  })

  it('is quiet when nobody reads its output', async () => {
    const child = startMeltica(['config'])
    child.stdout.destroy()
    let err = ''
    child.stderr.on('data', (text) => {
      err += String(text)
    })
    const [code] = await once(child, 'close')
    expect([code, err]).to.deep.equal([0, ''])
  })
})
