import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'

/**
 * `npm run test:containers`: the integration suites once on each server, in a container started by testcontainers where a
 * Docker engine answers, else once on a private redis-server. What the tests start is chosen in test/support/redis.ts by
 * MELTICA_TEST_IMAGE. The images are arguments, or MELTICA_TEST_IMAGES separated by spaces, or these three.
 */
const IMAGES = ['redis:7-alpine', 'redis:8-alpine', 'valkey/valkey:8-alpine']
const LABEL = 'label=meltica.test'

interface Result {
  readonly server: string
  readonly ok: boolean
  /** What the runner said at its end: passed, skipped, failed. */
  readonly told: string
  readonly seconds: number
}

const named = process.argv
  .slice(2)
  .concat((process.env.MELTICA_TEST_IMAGES ?? '').split(' '))
  .filter(Boolean)
const files = globSync('test/**/*.redis.test.ts').sort()
const results: Result[] = []
if (answers('docker', ['version', '--format', '{{.Server.Version}}'])) {
  for (const image of named.length > 0 ? named : IMAGES) results.push(await onContainer(image))
} else results.push(await suite('a private redis-server (no Docker engine answers)', {}))

console.log('')
for (const { server, ok, told, seconds } of results)
  console.log(`${ok ? 'passed' : 'FAILED'}  ${server}: ${told}, ${Math.round(seconds)} s`)
process.exitCode = results.every(({ ok }) => ok) ? 0 : 1

async function onContainer(image: string): Promise<Result> {
  console.log(`\n== ${image}`)
  // Before as well: an image that cannot be had, or has no server in it, is told so once and not by every test.
  const program = image.includes('valkey') ? 'valkey-server' : 'redis-server'
  const found = spawnSync('docker', ['run', '--rm', '--entrypoint', program, image, '--version'], { encoding: 'utf8' })
  if (found.status !== 0) return { server: image, ok: false, told: found.stderr.trim(), seconds: 0 }
  const version = /v=(\S+)/.exec(found.stdout)?.[1] ?? found.stdout.trim()
  try {
    // The servers are ended by the tests and swept here, so the helper image that does it otherwise is not needed.
    return await suite(`${image} (${version})`, { MELTICA_TEST_IMAGE: image, TESTCONTAINERS_RYUK_DISABLED: 'true' })
  } finally {
    sweep()
  }
}

async function suite(server: string, environment: Readonly<Record<string, string>>): Promise<Result> {
  const beganMs = performance.now()
  const run = spawn('mocha', ['--exit', ...files], {
    stdio: ['inherit', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  })
  const told: string[] = []
  run.stdout.setEncoding('utf8').on('data', (text: string) => {
    process.stdout.write(text)
    for (const [, count] of text.matchAll(/^ *(\d+ (?:passing|pending|failing))/gm)) told.push(count as string)
  })
  const [status] = (await once(run, 'close')) as [number | null]
  return { server, ok: status === 0, told: told.join(', '), seconds: (performance.now() - beganMs) / 1_000 }
}

function sweep(): void {
  const left = execFileSync('docker', ['ps', '-aq', '--filter', LABEL], { encoding: 'utf8' }).split('\n')
  const ids = left.filter((id) => id !== '')
  if (ids.length > 0) execFileSync('docker', ['rm', '-f', ...ids], { stdio: 'ignore' })
}

function answers(program: string, args: readonly string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore', timeout: 10_000 }).status === 0
}
