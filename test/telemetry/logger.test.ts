import { expect } from 'chai'
import { ManualClock } from '../../src/lib/clock.ts'
import { createLogger, type LoggerOptions } from '../../src/telemetry/logger.ts'

describe('the logger', () => {
  const create = (options: Partial<LoggerOptions> = {}) => {
    const lines: string[] = []
    const clock = new ManualClock()
    const write = (line: string): void => void lines.push(line)
    const logger = createLogger({ level: 'info', format: 'json', clock, base: { worker: 'a' }, write, ...options })
    return { logger, lines, clock, parsed: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) }
  }

  it('writes one JSON object a line with kind, time, level and the base fields', () => {
    const { logger, parsed } = create()
    logger.warn('redis-lost', 'the connection was lost', { port: 6379 })
    expect(parsed()).to.deep.equal([
      {
        level: 'warn',
        time: '2023-11-14T22:13:20.000Z',
        worker: 'a',
        kind: 'redis-lost',
        port: 6379,
        message: 'the connection was lost',
      },
    ])
  })

  it('writes for people on a terminal', () => {
    const { logger, lines } = create({ format: 'pretty' })
    logger.error('redis-lost', 'gone', { attempts: 2 })
    expect(lines).to.deep.equal(['22:13:20.000 ERROR redis-lost: gone worker=a attempts=2\n'])
  })

  it('limits a kind without hiding others, and tells how many lines it left out', () => {
    const { logger, clock, parsed } = create()
    for (let i = 0; i < 100; i++) logger.warn('storm', 'again')
    logger.warn('other', 'once')
    expect(parsed().filter(({ kind }) => kind === 'storm')).to.have.length(5)
    expect(parsed().filter(({ kind }) => kind === 'other')).to.have.length(1)
    clock.advance(10_000)
    expect(parsed().at(-1)).to.include({ kind: 'storm', suppressed: 95 })
    logger.warn('storm', 'again')
    expect(parsed().at(-1)).to.include({ kind: 'storm', message: 'again' })
  })

  it('tells at the end what was not told yet', () => {
    const { logger, parsed } = create()
    for (let i = 0; i < 6; i++) logger.info('storm', 'again')
    logger.flush()
    expect(parsed().at(-1)).to.include({ suppressed: 1 })
  })

  it('stays bounded under kinds without number', () => {
    const { logger, lines } = create()
    for (let i = 0; i < 5000; i++) logger.info(`kind-${i}`, 'x')
    expect(lines.length).to.equal(505)
  })

  it('hides secrets in messages, fields and errors with their causes', () => {
    const { logger, lines } = create()
    const cause = new Error('no route to redis://me:hunter2@host')
    logger.error('a', 'lost redis://me:hunter2@host:1', {
      password: 'hunter2',
      redis: { authToken: 'hunter2' },
      error: Object.assign(new Error('refused', { cause }), { code: 'ECONNREFUSED' }),
    })
    expect(lines[0]).to.not.contain('hunter2')
    expect(lines[0]).to.contain('redis://me:***@host:1').and.contain('ECONNREFUSED').and.contain('no route to')
  })

  it('says nothing below its level and does not count it', () => {
    const { logger, lines } = create()
    for (let i = 0; i < 10; i++) logger.debug('a', 'x')
    logger.info('a', 'y')
    expect(lines).to.have.length(1)
  })
})
