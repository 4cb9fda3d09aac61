import { Agent, request } from 'node:http'
import { expect } from 'chai'
import fc from 'fast-check'
import { eventually } from '../support/redis.ts'
import { GatewayBench, TOKENS } from './bench.ts'
import { Conformance, type Described, operationsOf, type Told } from './conformance.ts'
import { valuesOf } from './schema-arbitrary.ts'

/** 500 in every run; API_FUZZ_REQUESTS=20000 for the long form. */
const REQUESTS = Number(process.env.API_FUZZ_REQUESTS ?? 500)
const PER_RUN = 20

/** Stands for the last subscription or command that was taken. */
const RECENT = 'RECENT'
/** Values that are there, by the name of the parameter. */
type Known = Readonly<Record<string, readonly string[]>>

interface Plan {
  /** Its id; null: nothing is described there. */
  readonly operation: string | null
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  readonly token: keyof typeof TOKENS | 'wrong' | 'none'
}

const agent = new Agent({ keepAlive: true, maxSockets: 4 })
after(() => agent.destroy())

function send(
  url: string,
  { method, path, headers, body, token }: Plan,
): Promise<Told & { readonly location: string }> {
  const authorization =
    token === 'none' ? {} : { authorization: `Bearer ${token === 'wrong' ? 'no-token-of-ours-at-all' : TOKENS[token]}` }
  // Node sends the body of a DELETE without its length unless it is told.
  const length = body === null ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  return new Promise((resolve, reject) => {
    const sent = request(
      `${url}/`,
      { method, path, agent, headers: { ...authorization, ...length, ...headers } },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => {
          const type = String(response.headers['content-type'] ?? '').split(';')[0] as string
          resolve({ status: response.statusCode ?? 0, type, text, location: response.headers.location ?? '' })
        })
      },
    )
    sent.on('error', (cause) =>
      reject(new Error(`${method} ${path} ${token} ${JSON.stringify(headers)} ${body?.slice(0, 200)}`, { cause })),
    )
    sent.setTimeout(15_000, () => sent.destroy(new Error(`no answer to ${method} ${path}`)))
    sent.end(body ?? undefined)
  })
}

/** Requests as the document describes them, and near misses of every kind. */
function plansOf(operations: readonly Described[], conformance: Conformance, known: Known): fc.Arbitrary<Plan> {
  const tokens = fc.constantFrom<Plan['token']>('all', 'all', 'all', 'operate', 'read', 'wrong', 'none')
  const described = fc.oneof(...operations.map((operation) => planOf(operation, conformance, known)))
  const nowhere = fc
    .record({
      method: fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'PURGE'),
      path: fc.oneof(
        fc.webPath().map((path) => `/v1${path}`),
        fc.constantFrom(
          '/',
          '/v1',
          '/v1/',
          '/v1/subscriptions/',
          '/V1/subscriptions',
          '//v1/routes',
          '/docs/x',
          '/v1/%2e%2e/livez',
        ),
      ),
    })
    .map(({ method, path }): Plan => ({ operation: null, method, path, headers: {}, body: null, token: 'none' }))
  return fc
    .record({ plan: fc.oneof({ weight: 12, arbitrary: described }, { weight: 1, arbitrary: nowhere }), token: tokens })
    .map(({ plan, token }) => ({ ...plan, token }))
}

function planOf(operation: Described, { components }: Conformance, known: Known): fc.Arbitrary<Plan> {
  const parameters = operation.parameters ?? []
  const odd = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.constantFrom('', '..', '%', '\u0000', '-1', '1e3', 'null', '*'),
  )
  const values = fc.tuple(
    ...parameters.map(({ name, schema, required }) => {
      const right = valuesOf(schema, components).map(String)
      const familiar = known[name] === undefined ? right : fc.constantFrom(...known[name])
      const one = fc.oneof(
        { weight: 6, arbitrary: right },
        { weight: 5, arbitrary: familiar },
        { weight: 1, arbitrary: odd },
      )
      return required ? one : fc.option(one, { freq: 2 })
    }),
  )
  const schema = operation.requestBody?.content['application/json']?.schema
  const right = schema === undefined ? fc.constant(undefined) : valuesOf(schema, components)
  const bodies = fc.oneof(
    {
      weight: 6,
      arbitrary: right.map((value) => ({
        text: value === undefined ? null : JSON.stringify(value),
        type: 'application/json',
      })),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(right, fc.jsonValue(), fc.string())
        .map(([value, other, name]) => ({ text: JSON.stringify(bent(value, other, name)), type: 'application/json' })),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        text: fc.constantFrom('{', '', 'null', '[]', '"x"', '{"__proto__":1}', `{"a":"${'x'.repeat(70_000)}"}`),
        type: fc.constantFrom(
          'application/json',
          'text/plain',
          'application/json; charset=utf-16',
          'application/x-www-form-urlencoded',
        ),
      }),
    },
  )
  const queries = fc.constantFrom('limit=1&limit=2', 'x=1', '__proto__=1', '=', '%ff=%ff', 'cursor=')
  const heads = fc.constantFrom<Record<string, string>>(
    { origin: 'https://evil.example' },
    { 'content-encoding': 'gzip' },
    { 'x-forwarded-for': '1.2.3.4' },
    { traceparent: 'x' },
  )
  const extras = fc.record({ query: seldom(queries), headers: seldom(heads) })
  return fc.tuple(values, bodies, extras).map(([given, body, extra]): Plan => {
    let path = operation.path
    const query: string[] = extra.query === null ? [] : [extra.query]
    const headers: Record<string, string> = { ...(extra.headers ?? {}) }
    for (const [at, { name, in: where }] of parameters.entries()) {
      const value = given[at] as string | null
      if (value === null) continue
      const text = encodeURIComponent(value.toWellFormed())
      if (where === 'path') path = path.replace(`{${name}}`, text)
      else if (where === 'query') query.push(`${name}=${text}`)
      else if (/^[!-~]*$/.test(value)) headers[name] = value.slice(0, 2)
    }
    const hasBody = body.text !== null && (schema !== undefined || body.text.length === 2)
    if (hasBody) headers['content-type'] = body.type
    const method = operation.method.toUpperCase()
    const isNamed = !path.includes('//') && !path.endsWith('/')
    return {
      operation: isNamed ? operation.operationId : null,
      ...{ method, path: `${path}${query.length === 0 ? '' : `?${query.join('&')}`}`, headers, token: 'none' },
      body: hasBody && method !== 'GET' ? body.text : null,
    }
  })
}

/** One in ten. */
function seldom<Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | null> {
  return fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, { weight: 1, arbitrary })
}

/** A body with one thing wrong. */
function bent(value: unknown, other: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return other
  const names = Object.keys(value)
  const at = names[name.length % Math.max(1, names.length)] ?? 'x'
  if (name.length % 3 === 0) return { ...value, [name]: other }
  if (name.length % 3 === 1) return { ...value, [at]: other }
  return Object.fromEntries(Object.entries(value).filter(([field]) => field !== at))
}

function isAllowed(operation: Described | null, token: Plan['token']): boolean {
  const role = /role `(\w+)`/.exec(operation?.description ?? '')?.[1]
  return role === undefined || token === 'all' || token === role || (role === 'read' && token === 'operate')
}

for (const withTokens of [true, false]) {
  describe(`the admin API ${withTokens ? 'with' : 'without'} tokens, asked at random`, function () {
    this.timeout(REQUESTS * 100 + 20_000)
    let bench: GatewayBench
    before(async () => {
      bench = await GatewayBench.open({
        withTokens,
        settings: [
          'gateway.rate={perSecond: 1000000, burst: 1000000}',
          'cluster.expiryMs=60000',
          'gateway.waitMsMax=20',
        ],
      })
      await bench.fill()
      await bench.letters(20)
      await bench.worker('drainable')
    })
    after(() => bench.close())

    it('answers nothing but what its document says, and refused requests touch nothing', async () => {
      const document = await bench.document()
      const conformance = new Conformance(document)
      const operations = operationsOf(document)
      const known = {
        ...{ market: ['BINANCE-SPOT'], instrument: ['BTC-USDT', 'ETH-USDT'], channel: ['TRADE'] },
        ...{ subscriptionId: [RECENT, 'config-00001'], commandId: [RECENT], worker: ['drainable'] },
        deadLetterId: await bench.letterIds(),
      }
      const statuses = new Map<number, number>()
      let accepted = 0
      let recent = 'none'
      let applied = 0
      const runs = Math.ceil(REQUESTS / 2 / PER_RUN)
      const plans = plansOf(operations, conformance, known)
      await fc.assert(
        fc.asyncProperty(fc.array(plans, { minLength: PER_RUN, maxLength: PER_RUN }), async (batch) => {
          for (const drawn of batch) {
            const plan = { ...drawn, path: drawn.path.replace(RECENT, recent) }
            const operation = operations.find(({ operationId }) => operationId === plan.operation) ?? null
            const before = await bench.written()
            const told = await send(bench.url, plan)
            statuses.set(told.status, (statuses.get(told.status) ?? 0) + 1)
            const shown = `${plan.method} ${plan.path} ${plan.token} ${plan.body?.slice(0, 200)} -> ${told.status} ${told.text.slice(0, 300)}`
            expect(told.status, shown).to.be.below(500)
            expect(conformance.wrong(operation, told, plan.method !== 'HEAD'), shown).to.equal(null)
            const grown = (await bench.written()) - before
            if (told.status >= 300 || plan.method === 'GET') expect(grown, shown).to.equal(0)
            else expect(grown, shown).to.be.at.most(1)
            if (withTokens && !isAllowed(operation, plan.token))
              expect([401, 403, 404, 405], shown).to.include(told.status)
            if (told.status === 202 && grown === 1) accepted++
            if (told.status === 202 && told.text !== '')
              recent = (JSON.parse(told.text) as { commandId: string }).commandId
          }
        }),
        { numRuns: runs, endOnFailure: true },
      )
      // Every command that was taken is answered, and the table is what those that applied made of it.
      await eventually(async () => {
        applied = await bench.appliedCount()
        return applied === accepted
      })
      expect([...statuses.keys()]).to.include.members(
        withTokens ? [200, 202, 400, 401, 403, 404] : [200, 202, 400, 404],
      )
      console.log(
        `      ${[...statuses]
          .sort((a, b) => a[0] - b[0])
          .map(([status, count]) => `${status}: ${count}`)
          .join(', ')}; ${accepted} commands`,
      )
    })
  })
}
