import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { expect } from 'chai'
import { GatewayBench, TOKENS } from './bench.ts'

const PAUSE = '/v1/instruments/BINANCE-SPOT/BTC-USDT/pause'
const SUBSCRIPTION = { consumer: 'desk', market: 'BINANCE-SPOT', instrument: 'BTC-USDT', type: 'QUOTE' }

/** What comes back for bytes as they are sent. */
async function raw(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  socket.write(bytes)
  await once(socket, 'close')
  return text
}

/** A request with headers that fetch does not let one choose. */
async function withHeaders(
  url: string,
  method: string,
  path: string,
  headers: Record<string, string>,
): Promise<number> {
  const sent = request(url + path, { method, headers })
  sent.end()
  const [response] = await once(sent, 'response')
  response.resume()
  return response.statusCode as number
}

describe('the admin API with tokens', () => {
  let bench: GatewayBench
  before(async () => {
    bench = await GatewayBench.open({
      withTokens: true,
      settings: ['gateway.requestTimeoutMs=500'],
    })
    await bench.fill()
  })
  after(() => bench.close())

  it('lets nobody in without a token, and says how to come in', async () => {
    for (const [method, path] of [
      ['GET', '/v1/subscriptions'],
      ['POST', PAUSE],
      ['DELETE', '/v1/subscriptions/config-00001'],
    ]) {
      const { status, type, body, headers } = await bench.ask(method as string, path as string)
      expect([status, type]).to.deep.equal([401, 'application/problem+json'])
      expect(body).to.include({ status: 401, type: '/docs#problem-unauthorized' })
      expect(headers.get('www-authenticate')).to.match(/^Bearer/)
    }
  })

  it('takes neither part of a token, nor another scheme, nor the hash of one', async () => {
    const { read } = TOKENS
    const wrong = [
      `Bearer ${read.slice(0, -1)}`,
      `Bearer ${read}x`,
      `Basic ${read}`,
      read,
      `Bearer ${read} ${read}`,
      'Bearer',
      `Bearer ${'x'.repeat(5_000)}`,
    ]
    for (const authorization of wrong) {
      expect((await bench.ask('GET', '/v1/routes', { headers: { authorization } })).status, authorization).to.equal(401)
    }
    expect((await bench.ask('GET', '/v1/routes', { headers: { authorization: `bearer ${read}` } })).status).to.equal(
      200,
    )
  })

  it('keeps to the role of a token, and changes nothing for one that lacks it', async () => {
    const before = await bench.written()
    for (const [method, path, body] of [
      ['POST', '/v1/subscriptions', SUBSCRIPTION],
      ['POST', PAUSE],
      ['DELETE', '/v1/subscriptions/config-00001'],
      ['DELETE', '/v1/dead-letters/control:1-1'],
    ] as const) {
      const answer = await bench.ask(method, path, { token: TOKENS.read, ...(body === undefined ? {} : { body }) })
      expect(answer.status, path).to.equal(403)
      expect(answer.body.detail).to.contain('the role operate')
    }
    expect((await bench.ask('GET', '/v1/routes', { token: TOKENS.operate })).status).to.equal(200)
    expect(await bench.written()).to.equal(before)
  })

  it('answers without a token only what harms nobody', async () => {
    for (const path of ['/livez', '/readyz', '/docs', '/v1/openapi.json']) {
      expect((await bench.ask('GET', path)).status, path).to.equal(200)
    }
  })

  it('shows no token and no header of a caller in a log, an answer or the document', async () => {
    await bench.ask('POST', '/v1/subscriptions', { token: TOKENS.all, body: SUBSCRIPTION })
    await bench.ask('POST', '/v1/subscriptions', {
      token: TOKENS.all,
      body: { ...SUBSCRIPTION, password: 'hunter2hunter2', token: TOKENS.all },
    })
    const answers = [
      await bench.ask('POST', '/v1/subscriptions', {
        token: TOKENS.all,
        body: { ...SUBSCRIPTION, password: 'hunter2hunter2' },
      }),
      await bench.ask('GET', '/v1/routes', { headers: { authorization: 'Bearer some-unknown-secret' } }),
      await bench.ask('GET', '/v1/openapi.json'),
      await bench.ask('GET', '/docs'),
    ]
    const text = [...answers.map((answer) => answer.text), ...bench.log].join('\n')
    for (const secret of [...Object.values(TOKENS), 'hunter2hunter2', 'some-unknown-secret'])
      expect(text).to.not.contain(secret)
  })

  it('is closed to pages of other origins, and tells browsers to keep to themselves', async () => {
    const token = TOKENS.all
    for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }]) {
      const { status, headers: told } = await bench.ask('GET', '/v1/routes', { token, headers })
      expect(status).to.equal(403)
      expect(told.has('access-control-allow-origin')).to.equal(false)
    }
    expect((await bench.ask('OPTIONS', '/v1/routes', { token })).status).to.equal(405)
    const { headers } = await bench.ask('GET', '/docs')
    expect(headers.get('content-security-policy')).to.match(/^default-src 'none';style-src 'sha256-/)
    expect(headers.get('x-content-type-options')).to.equal('nosniff')
    expect(headers.has('x-powered-by')).to.equal(false)
    expect(headers.get('cache-control')).to.equal('no-store')
  })

  it('has a bound for bodies, headers and the time a request takes to arrive', async () => {
    const big = JSON.stringify({ ...SUBSCRIPTION, consumer: 'x'.repeat(70_000) })
    expect((await bench.ask('POST', '/v1/subscriptions', { token: TOKENS.all, body: big })).status).to.equal(413)
    expect(await raw(bench.url, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)).to.match(
      /^HTTP\/1\.1 431 .*headers-too-large/s,
    )
    expect(await raw(bench.url, 'POST /v1/subscriptions HTTP/1.1\r\nHost: a\r\nContent-Le')).to.match(
      /^HTTP\/1\.1 408 .*request-timeout/s,
    )
    expect(await raw(bench.url, 'nonsense\r\n\r\n')).to.match(/^HTTP\/1\.1 400 .*invalid-request/s)
    expect(await raw(bench.url, 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n')).to.match(
      /^HTTP\/1\.1 405 .*method-not-allowed/s,
    )
  })

  it('answers odd requests in the same form as all others', async () => {
    const close = 'Connection: close\r\n'
    for (const [bytes, status, kind] of [
      [`GET /livez HTTP/1.1\r\n${close}\r\n`, 400, 'invalid-request'],
      [`OPTIONS * HTTP/1.1\r\nHost: a\r\n${close}\r\n`, 404, 'not-found'],
      [`GET /v1/%zz HTTP/1.1\r\nHost: a\r\n${close}\r\n`, 404, 'not-found'],
      [`GET /v1/commands/%zz HTTP/1.1\r\nHost: a\r\n${close}\r\n`, 400, 'invalid-request'],
      [`GET /v1/routes HTTP/1.1\r\nHost: a\r\nExpect: cake\r\n${close}\r\n`, 401, 'unauthorized'],
      [`GET http://a/v1/routes HTTP/1.1\r\nHost: a\r\n${close}\r\n`, 401, 'unauthorized'],
      [
        `POST /v1/subscriptions HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
        400,
        'invalid-request',
      ],
    ] as const) {
      const text = await raw(bench.url, bytes)
      expect(text, bytes).to.match(new RegExp(`^HTTP/1\\.1 ${status} `))
      expect(text.toLowerCase(), bytes).to.contain('content-type: application/problem+json')
      expect(text, bytes).to.contain(`"/docs#problem-${kind}"`)
    }
    expect(await raw(bench.url, 'GET /readyz HTTP/1.0\r\n\r\n')).to.match(/^HTTP\/1\.1 200 /)
  })

  it('names the field, what was found and what is allowed', async () => {
    const { status, body } = await bench.ask('POST', '/v1/subscriptions', {
      token: TOKENS.all,
      body: { consumer: 'a b', market: 'KRAKEN', instrument: 'BTC-USDT', type: 'TRADES', throttleMs: 70_000, more: 1 },
    })
    expect(status).to.equal(400)
    const errors = body.errors as { field: string; found: string; allowed: string }[]
    expect(Object.fromEntries(errors.map(({ field, found, allowed }) => [field, [found, allowed]]))).to.deep.equal({
      'body.consumer': ['"a b"', '1 to 128 letters, digits and . _ : -'],
      'body.market': ['"KRAKEN"', 'one of BINANCE-SPOT'],
      'body.type': ['"TRADES"', 'one of TRADE, QUOTE, TICKER, KLINE, ORDERBOOK'],
      'body.throttleMs': ['70000', 'at most 60000'],
      'body.more': ['1', 'no such field'],
    })
  })
})

describe('the admin API without tokens', () => {
  let bench: GatewayBench
  afterEach(() => bench.close())

  it('answers this machine alone, by a name of this machine', async () => {
    bench = await GatewayBench.open()
    for (const host of ['localhost:8080', '127.0.0.1', '[::1]:8080']) {
      expect(await withHeaders(bench.url, 'GET', '/v1/routes', { host }), host).to.equal(200)
    }
    // A page of evil.example whose name was made to lead here asks with that name.
    for (const host of [
      'evil.example',
      '127.0.0.1.evil.example',
      'localhost.evil.example:80',
      '127.0.0.1@evil.example',
    ]) {
      expect(await withHeaders(bench.url, 'GET', '/v1/routes', { host }), host).to.equal(403)
    }
    const site = { 'sec-fetch-site': 'cross-site' }
    expect(await withHeaders(bench.url, 'POST', PAUSE, site)).to.equal(403)
  })

  it('slows a caller down who asks too often, and says for how long', async () => {
    bench = await GatewayBench.open({ settings: ['gateway.rate={perSecond: 0.5, burst: 3}'] })
    const statuses = []
    for (let asked = 0; asked < 5; asked++) statuses.push((await bench.ask('GET', '/livez')).status)
    expect(statuses).to.deep.equal([200, 200, 200, 429, 429])
    const caller = await bench.ask('GET', '/v1/routes')
    expect([caller.status, caller.headers.get('retry-after')]).to.deep.equal([429, '2'])
  })
})
