import { execFileSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect } from 'chai'

/**
 * Keeps watch over what a reader relies on: the folders are the architecture, and arrows between them point one way.
 * `domain` and `lib` know nobody; stages know contracts and never each other's code; they meet in `processes`.
 */
const CONTRACTS = [
  'bus/publish.ts',
  'bus/contract.ts',
  'bus/schema.ts',
  'venues/venue.ts',
  'venues/errors.ts',
  'venues/budget.ts',
  'venues/limit-store.ts',
  'pollers/poll.ts',
  'simulator/source.ts',
  'dispatcher/dead-letters.ts',
  'conductor/snapshot-store.ts',
  'conductor/commit-log.ts',
  'conductor/source-streams.ts',
  'conductor/resync-requests.ts',
  'consumer/book-source.ts',
  'cluster/member-store.ts',
  'bus/open-gaps.ts',
  'bus/book-quality.ts',
  'bus/book-tail.ts',
  'control/contract.ts',
  'gateway/readers.ts',
  'gateway/idempotency.ts',
  'control/store.ts',
  'control/channel-gate.ts',
  'control/step.ts',
  'control/story.ts',
  'control/decode.ts',
  'control/fingerprint.ts',
  'control/table-data.ts',
]
const GROUND = ['domain', 'lib', 'errors.ts', 'telemetry']
const STAGE = [...GROUND, ...CONTRACTS]
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'errors.ts': [],
  'index.ts': ['domain', 'errors.ts', 'bus', 'consumer'],
  lib: ['errors.ts'],
  domain: [],
  telemetry: ['lib', 'domain', 'errors.ts'],
  config: ['lib', 'errors.ts'],
  bus: GROUND,
  venues: STAGE,
  dispatcher: STAGE,
  conductor: STAGE,
  consumer: STAGE,
  execution: STAGE,
  control: STAGE,
  pollers: STAGE,
  gateway: STAGE,
  cluster: STAGE,
  simulator: STAGE,
  checker: STAGE,
  redis: STAGE,
  cli: ['*'],
  processes: ['*'],
}
/** `cli` starts processes, and a process draws with the live view; nobody else knows these two. */
const TOP = ['cli', 'processes']

const LINES_MAX = 500

/** Files that are in work at the moment of writing count too: what is committed is what the tree holds. */
const sources = globSync('src/**/*.ts').sort()
const scripted = globSync('{test,scripts,bench}/**/*.{ts,mjs}').sort()

interface Import {
  readonly from: string
  readonly to: string
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8')
  const found = text.matchAll(/^(?:import|export|\})[^'\n]* from '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm)
  return [...found].map(([, named, bare, lazy]) => {
    const to = named ?? bare ?? lazy ?? ''
    return { from: file, to: to.startsWith('.') ? normalize(join(dirname(file), to)) : to }
  })
}

const room = (file: string): string => file.split('/')[1] ?? ''

describe('the source', () => {
  it('has arrows between its folders that point one way', () => {
    const wrong: string[] = []
    for (const { from, to } of sources.flatMap(importsOf)) {
      if (!to.startsWith('src/') || room(from) === room(to)) continue
      const allowed = ALLOWED[room(from)] ?? []
      const inner = to.slice('src/'.length)
      const isAllowed = allowed.includes('*') || allowed.includes(room(to)) || allowed.includes(inner)
      if (!isAllowed || (TOP.includes(room(to)) && !TOP.includes(room(from)))) wrong.push(`${from} imports ${to}`)
    }
    expect(wrong).to.deep.equal([])
  })

  it('has only folders whose place is known', () => {
    const unknown = [...new Set(sources.map(room))].filter((name) => ALLOWED[name] === undefined)
    expect(unknown).to.deep.equal([])
  })

  it('has no file of more than 500 lines', () => {
    const long = [...sources, ...scripted, ...globSync('src/**/*.lua')]
      .map((file) => ({ file, lines: readFileSync(file, 'utf8').split('\n').length - 1 }))
      .filter(({ lines }) => lines > LINES_MAX)
    expect(long).to.deep.equal([])
  })

  it('speaks to Redis in src/redis alone', () => {
    const wrong = sources.flatMap(importsOf).filter(({ from, to }) => to === 'ioredis' && room(from) !== 'redis')
    expect(wrong).to.deep.equal([])
  })

  it('reads the environment in src/config and src/cli alone, but for the search path of programs', () => {
    const wrong = sources.filter((file) => {
      const text = readFileSync(file, 'utf8').replaceAll('process.env.PATH', '')
      return text.includes('process.env') && !['config', 'cli'].includes(room(file))
    })
    expect(wrong).to.deep.equal([])
  })

  it('imports only packages that it declares', () => {
    const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
      dependencies: Record<string, string>
    }
    const wrong = sources
      .flatMap(importsOf)
      .filter(({ to }) => !to.startsWith('src/') && !to.startsWith('node:') && dependencies[to] === undefined)
    expect(wrong).to.deep.equal([])
  })

  it('names no place of one machine', () => {
    const files = execFileSync('git', ['ls-files', '-z'], { encoding: 'utf8' }).split('\0').filter(Boolean)
    // Put together here, so that this file names none either.
    const place = new RegExp(`/(${['home/[a-z]', 'Users/[a-zA-Z]', 'work/[a-z]', 'root/'].join('|')})`)
    const wrong = files.filter((file) => /\.(ts|mjs|js|json|ya?ml|md|lua|sh)$/.test(file) && hasPlace(file, place))
    expect(wrong).to.deep.equal([])
  })
})

function hasPlace(file: string, place: RegExp): boolean {
  try {
    return place.test(readFileSync(file, 'utf8'))
  } catch {
    return false
  }
}
