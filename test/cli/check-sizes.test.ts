import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { checkSizes, type KeyspaceSizes } from '../../src/cli/check-sizes.ts'
import { loadConfig } from '../../src/config/load.ts'
import { Channel } from '../../src/domain/event.ts'
import { bookLimits } from '../../src/processes/book-limits.ts'
import { WEIGHT_PER_MINUTE } from '../../src/processes/venue-rest.ts'

const root = new URL('../../', import.meta.url)

function streamsOf(instruments: number): Record<Channel, number> {
  return Object.fromEntries(Object.values(Channel).map((channel) => [channel, instruments])) as Record<Channel, number>
}

function findings(config: Parameters<typeof checkSizes>[0], sizes: Partial<KeyspaceSizes>): string[] {
  const { refreshesPerMinuteMax } = bookLimits(config, { weightPerMinute: () => WEIGHT_PER_MINUTE, processes: () => 1 })
  const all = { members: {}, streams: {}, maxMemoryBytes: 0, refreshesPerMinuteMax, ...sizes }
  return checkSizes(config, all).map(({ name, severity, found }) => `${severity} ${name}: ${found}`)
}

describe('the check of sizes', () => {
  const { config } = loadConfig({})

  it('weighs the partitions against the members of every role that shares them', () => {
    expect(findings(config, { members: { ingest: 2, conductor: 3, reader: 0 } })).to.deep.equal([
      'ok partitions ingest: 16 for 2 members',
      'warning partitions conductor: 16 for 3 members',
    ])
  })

  it('warns of more books than the request weight can refresh before the retention removes their snapshots', () => {
    const books = (count: number, ...assignments: string[]): string[] =>
      findings(loadConfig({ assignments }).config, { streams: { ORDERBOOK: count } })
    expect(books(390)[0]).to.match(/^ok book snapshots: 100000, with 390 books and a snapshot of each in 487\d s/)
    expect(books(401)[0]).to.match(/^warning book snapshots: .* a snapshot of each in 501\d s/)
    expect(books(401, 'ingest.books.refreshWeightShare=0.1')[0]).to.match(/^ok/)
    expect(books(10)[0]).to.match(/^ok .* in 180 s/)
    expect(books(10_000, 'ingest.books.proved=false')).to.deep.equal([])
  })

  it('says when full streams would not fit into the memory, or have no bound', () => {
    const maxMemoryBytes = 2 ** 30
    expect(findings(config, { streams: { TRADE: 10 }, maxMemoryBytes })).to.deep.equal([
      'ok retention: about 306 MB when every stream is full',
    ])
    expect(findings(config, { streams: { TRADE: 40 }, maxMemoryBytes })[0]).to.match(/^warning/)
    const endless = loadConfig({ assignments: ['retention.TRADE.maxLength=null'] }).config
    expect(findings(endless, { streams: { TRADE: 1 }, maxMemoryBytes })).to.deep.equal([
      'warning retention: no bound for TRADE',
    ])
  })

  it('finds that the market of the compose file stays within its memory', () => {
    const compose = readFileSync(new URL('docker-compose.yml', root), 'utf8')
    const instruments = Number(/--instruments, '(\d+)'/.exec(compose)?.[1])
    const megabytes = Number(/--maxmemory, '\$\{REDIS_MAXMEMORY:-(\d+)mb\}'/.exec(compose)?.[1])
    const simulated = loadConfig({ files: [new URL('config/simulated.yaml', root).pathname] }).config
    const sizes = { streams: streamsOf(instruments), members: { ingest: 1 }, maxMemoryBytes: megabytes * 2 ** 20 }
    const found = findings(simulated, sizes)
    expect(found.filter((line) => line.startsWith('warning'))).to.deep.equal([])
    // A third is left to queues, to the table, and to what a rewrite of the append-only file needs.
    const full = Number(/about (\d+) MB/.exec(found.join())?.[1])
    expect(full)
      .to.be.above(500)
      .and.below((megabytes * 2) / 3)
  })
})
