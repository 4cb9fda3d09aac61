import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { type ConfigInputs, loadConfig } from '../../src/config/load.ts'
import { UsageError } from '../../src/errors.ts'

describe('the configuration', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'meltica-config-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const file = (name: string, text: string): string => {
    const path = join(folder, name)
    writeFileSync(path, text)
    return path
  }
  const refusal = (inputs: ConfigInputs): string => {
    try {
      loadConfig(inputs)
    } catch (error) {
      expect(error).to.be.instanceOf(UsageError)
      return (error as Error).message
    }
    throw new Error('expected a refusal, found none')
  }

  describe('sources', () => {
    it('is complete without any', () => {
      const { config } = loadConfig({})
      expect(config.prefix).to.equal('meltica')
      expect(config.partitions).to.equal(16)
      expect(config.ingest.latenessToleranceMs).to.equal(150)
      expect(config.venues.binance.environment).to.equal('simulated')
      expect(config.worker.id).to.match(/-\d+$/)
    })

    it('lets files, then the environment, then --set stand above the defaults', () => {
      const first = file(
        'first.yaml',
        'partitions: 2\ningest: { redundancy: 2, latenessToleranceMs: 20 }\nprefix: first\n',
      )
      const second = file('second.yaml', 'ingest: { redundancy: 3 }\n')
      const { config, origin } = loadConfig({
        files: [first, second],
        environment: { MELTICA_PARTITIONS: '3', MELTICA_PREFIX: 'environment', HOME: '/' },
        assignments: ['partitions=4'],
      })
      expect(config.ingest).to.include({ redundancy: 3, latenessToleranceMs: 20, earlyToleranceMs: 1000 })
      expect(config.prefix).to.equal('environment')
      expect(config.partitions).to.equal(4)
      expect(origin('ingest.latenessToleranceMs')).to.equal(`${first}:2`)
      expect(origin('ingest.redundancy')).to.equal(`${second}:1`)
      expect(origin('prefix')).to.equal('environment MELTICA_PREFIX')
      expect(origin('partitions')).to.equal('--set')
      expect(origin('ingest.earlyToleranceMs')).to.match(/^config\/meltica\.yaml:\d+$/)
    })

    it('names settings in the environment by their path, levels by two underscores and camelCase by one', () => {
      const { config } = loadConfig({
        environment: {
          MELTICA_VENUES__BINANCE__STREAM_URL: 'ws://localhost:1',
          MELTICA_VENUES__BINANCE__REST_URL: 'http://localhost:1',
          MELTICA_RETENTION__TRADE__MAX_LENGTH: 'null',
          MELTICA_RETENTION__DEAD_LETTERS__MAX_LENGTH: '7',
          MELTICA_INGEST__CONNECTIONS__TOPICS_PER_CONNECTION: '12',
          MELTICA_RECORDINGS: '../shared',
        },
      })
      expect(config.venues.binance.streamUrl).to.equal('ws://localhost:1')
      expect(config.retention.TRADE.maxLength).to.equal(null)
      expect(config.retention.deadLetters.maxLength).to.equal(7)
      expect(config.ingest.connections.topicsPerConnection).to.equal(12)
    })

    it('puts --redis and --prefix above everything', () => {
      const { config } = loadConfig({
        environment: { MELTICA_PREFIX: 'a' },
        assignments: ['prefix=b', 'redis.url=redis://b'],
        redis: 'redis://c:6379',
        prefix: 'c',
      })
      expect([config.redis.url, config.prefix]).to.deep.equal(['redis://c:6379', 'c'])
    })

    it('reads values by the type of their setting', () => {
      const { config } = loadConfig({
        environment: { MELTICA_REDIS__PASSWORD: '0123 #x: y' },
        assignments: ['simulator.rate=1e3', 'roles=ingest', 'prefix=123', 'redis.mode=cluster', 'redis.nodes=a:1, b:2'],
      })
      expect(config.redis.password).to.equal('0123 #x: y')
      expect(config.redis.nodes).to.deep.equal(['a:1', 'b:2'])
      expect([config.simulator.rate, config.prefix]).to.deep.equal([1000, '123'])
    })

    it('takes whole lists and groups as YAML', () => {
      const route = '{type: KLINE, market: BINANCE-SPOT, instruments: ["*-EUR"], intervals: [1m, 1h]}'
      const { config } = loadConfig({ assignments: [`routes=[${route}]`, 'ingest.backfill={ageMsMax: 1}'] })
      expect(config.routes).to.have.length(1)
      expect(config.routes[0]?.intervals).to.deep.equal(['1m', '1h'])
      expect(config.ingest.backfill).to.deep.equal({
        ageMsMax: 1,
        idsPerGapMax: 50_000,
        gapsAtOnceMax: 16,
        gapsWaitingMax: 10_000,
      })
    })

    it('reads the password of the sentinels from a file, and wants it only where sentinels are asked', () => {
      const sentinels = ['redis.mode=sentinel', 'redis.nodes=[a:1]', 'redis.sentinelName=m']
      const { config } = loadConfig({
        assignments: [...sentinels, `redis.sentinelPasswordFile=${file('sentinel', 'theirs\n')}`],
      })
      expect(config.redis.sentinelPassword).to.equal('theirs')
      expect(refusal({ assignments: ['redis.sentinelPassword=x'] })).to.contain('redis.sentinelPassword: expected null')
      expect(refusal({ assignments: [...sentinels, 'redis.sentinelUsername=x'] })).to.contain('expected the password')
    })

    it('reads a password from a file', () => {
      const { config, origin } = loadConfig({
        environment: { MELTICA_REDIS__PASSWORD_FILE: file('password', 's3 cret\n') },
      })
      expect(config.redis.password).to.equal('s3 cret')
      expect(origin('redis.password')).to.contain('MELTICA_REDIS__PASSWORD_FILE')
    })

    it('is frozen to its leaves', () => {
      const { config } = loadConfig({})
      expect(() => {
        ;(config.ingest as { redundancy: number }).redundancy = 2
      }).to.throw(TypeError)
      expect(() => (config.routes as unknown[]).push({})).to.throw(TypeError)
    })

    it('admits the overlay of the real venue', () => {
      const overlay = new URL('../../config/binance.yaml', import.meta.url).pathname
      expect(loadConfig({ files: [overlay] }).config.venues.binance.environment).to.equal('production')
    })
  })

  describe('refusals', () => {
    it('names the nearest setting for an unknown one, whatever its source', () => {
      const message = refusal({
        files: [file('wrong.yaml', 'ingest:\n  redundncy: 2\npartition: 3\n')],
        environment: { MELTICA_INGEST__LATENES_TOLERANCE_MS: '1' },
        assignments: ['latenessToleranceMs=3'],
      })
      expect(message).to.contain('ingest.redundncy: no such setting, the nearest is ingest.redundancy')
      expect(message).to.contain('wrong.yaml:2)')
      expect(message).to.contain('partition: no such setting, the nearest is partitions')
      expect(message).to.contain('the nearest is MELTICA_INGEST__LATENESS_TOLERANCE_MS (environment)')
      expect(message).to.contain(
        'latenessToleranceMs: no such setting, the nearest is ingest.latenessToleranceMs (--set)',
      )
    })

    it('says everything that is wrong at once, each with what was expected, found, and from where', () => {
      const message = refusal({
        environment: { MELTICA_PARTITIONS: 'many', MELTICA_TELEMETRY__LOG_LEVEL: 'loud' },
        assignments: ['ingest.redundancy=9', 'ingest.queueEventsMax=10', 'redis.url=http://x', 'noequals'],
      })
      expect(message).to.contain('configuration refused, 6 errors:')
      expect(message).to.contain(
        'partitions: expected an integer from 1 to 16384, found "many" (environment MELTICA_PARTITIONS)',
      )
      expect(message).to.contain('telemetry.logLevel: expected one of trace, debug')
      expect(message).to.contain('ingest.redundancy: expected an integer from 1 to 4, found 9 (--set)')
      expect(message).to.contain('expected at least ingest.eventsPerCallMax, which is 256, found 10')
      expect(message).to.contain('redis.url: expected an address that begins with redis://')
      expect(message).to.contain('--set: expected path=value, found "noequals"')
    })

    it('looks into routes', () => {
      const route = '{type: KLINE, market: BINANCE-SPOT, instruments: [BTC-USDT], intervall: 1m}'
      const message = refusal({ assignments: [`routes=[${route}]`] })
      expect(message).to.contain('routes.0.intervall: no such setting, the nearest is routes.0.intervals')
      const misfit = refusal({
        assignments: [
          'routes=[{type: KLINE, market: BINANCE-SPOT, instruments: [A-B]}, {type: QUOTE, market: BINANCE-SPOT, instruments: [A-B], via: trade, filters: [{path: data.price, op: in, value: 3}]}]',
        ],
      })
      expect(misfit).to.contain('routes.0 of type KLINE without intervals')
      expect(misfit).to.contain('routes.1 of type QUOTE with via')
      expect(misfit).to.contain('routes.1.filters.0 with a value that does not fit in')
    })

    const misfits: [string, string[], string][] = [
      ['cluster without nodes', ['redis.mode=cluster'], 'redis.nodes: expected at least one host:port'],
      [
        'sentinel without the name',
        ['redis.mode=sentinel', 'redis.nodes=[a:1]'],
        'redis.sentinelName: expected the name',
      ],
      ['nodes without cluster', ['redis.nodes=[a:1]'], 'redis.nodes: expected none with redis.mode single'],
      [
        'a url with cluster',
        ['redis.mode=cluster', 'redis.nodes=[a:1]', 'redis.url=redis://x'],
        'redis.url: expected null',
      ],
      ['no Redis at all', ['redis.embedded=never'], 'redis.url: expected an address'],
      ['TLS files without TLS', ['redis.tls.caFile=/ca.pem'], 'redis.tls: expected redis.tls.enabled true'],
      ['a certificate alone', ['redis.tls.enabled=true', 'redis.tls.certFile=/c.pem'], 'found only one'],
      ['half a venue', ['venues.binance.streamUrl=ws://x'], 'expected streamUrl and restUrl both given'],
      [
        'production without addresses',
        ['venues.binance.environment=production'],
        'with environment production, found null',
      ],
      [
        'a book that outlives its snapshot in the stream',
        ['ingest.books.refreshSeconds=300', 'retention.ORDERBOOK.maxLength=5999'],
        'retention.ORDERBOOK.maxLength: expected at least 6000',
      ],
      ['too early a snapshot', ['ingest.earlyToleranceMs=100'], 'expected at least ingest.latenessToleranceMs'],
      [
        'a TLS file that is not there',
        ['redis.tls.enabled=true', 'redis.tls.caFile=/nope.pem'],
        'redis.tls.caFile: expected a file',
      ],
      [
        'two passwords',
        ['redis.password=a', 'redis.passwordFile=/b'],
        'expected either redis.password or redis.passwordFile',
      ],
    ]
    for (const [what, assignments, expected] of misfits) {
      it(`refuses ${what}`, () => expect(refusal({ assignments })).to.contain(expected))
    }

    it('refuses files that are missing, no YAML, or no settings', () => {
      expect(refusal({ files: [join(folder, 'missing.yaml')] })).to.contain('expected a YAML file that can be read')
      expect(refusal({ files: [file('bad.yaml', 'a: [1\nb: 2')] })).to.contain('expected YAML, found')
      expect(refusal({ files: [file('list.yaml', '- 1')] })).to.contain('expected groups of settings')
      expect(refusal({ files: [file('twice.yaml', 'prefix: a\nprefix: b\n')] })).to.contain('Map keys must be unique')
      expect(refusal({ assignments: ['redis.passwordFile=/nope'] })).to.contain('redis.passwordFile: expected a file')
    })

    it('takes an empty file for no settings', () => {
      expect(loadConfig({ files: [file('empty.yaml', '# nothing\n')] }).config.prefix).to.equal('meltica')
    })

    it('never shows a secret in what it refuses', () => {
      const message = refusal({
        files: [file('secret.yaml', 'redis: { password: [hunter2] }')],
        assignments: ['venues.binance.restUrl=ftp://me:hunter2@host/?token=hunter2'],
      })
      expect(message).to.contain('redis.password').and.not.contain('hunter2')
    })
  })
})
