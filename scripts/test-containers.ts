import { execFileSync, spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'

/**
 * `npm run test:containers`: the integration suites once on each server, in a container started by testcontainers where a
 * Docker engine answers, else once on a private redis-server. What the tests start is chosen in test/support/redis.ts by
 * MELTICA_TEST_IMAGE; the images can be given as arguments.
 */
const IMAGES = ['redis:7-alpine', 'redis:8-alpine', 'valkey/valkey:8-alpine']
const LABEL = 'label=meltica.test'

const images = process.argv.length > 2 ? process.argv.slice(2) : IMAGES
const files = globSync('test/**/*.redis.test.ts').sort()
const results = answers('docker', ['version', '--format', '{{.Server.Version}}'])
  ? images.map((image) => ({ server: image, ok: onContainer(image) }))
  : [{ server: 'a private redis-server (no Docker engine answers)', ok: suite({}) }]

console.log('')
for (const { server, ok } of results) console.log(`${ok ? 'passed' : 'FAILED'}  ${server}`)
process.exitCode = results.every(({ ok }) => ok) ? 0 : 1

function onContainer(image: string): boolean {
  console.log(`\n== ${image}`)
  try {
    // The servers are ended by the tests and swept here, so the helper image that does it otherwise is not needed.
    return suite({ MELTICA_TEST_IMAGE: image, TESTCONTAINERS_RYUK_DISABLED: 'true' })
  } finally {
    sweep()
  }
}

function suite(environment: Readonly<Record<string, string>>): boolean {
  const run = spawnSync('mocha', ['--exit', ...files], { stdio: 'inherit', env: { ...process.env, ...environment } })
  return run.status === 0
}

function sweep(): void {
  const left = execFileSync('docker', ['ps', '-aq', '--filter', LABEL], { encoding: 'utf8' }).split('\n')
  const ids = left.filter((id) => id !== '')
  if (ids.length > 0) execFileSync('docker', ['rm', '-f', ...ids], { stdio: 'ignore' })
}

function answers(program: string, args: readonly string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore', timeout: 10_000 }).status === 0
}
