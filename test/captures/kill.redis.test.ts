import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { checkStreams } from '../../src/checker/checker.ts'
import { firstLine, meltica, startMeltica } from '../cli/run.ts'
import { capturePath, needRecording, readCapture, writeCapture } from '../support/capture.ts'
import { expectedOf } from '../support/oracle.ts'
import { startPrivateRedis, type TestRedis } from '../support/redis.ts'
import { randomOf } from '../support/variants.ts'
import { expectDense, expectDigits, expectOracle, Wire } from '../support/wire.ts'

const ENTRY = fileURLToPath(new URL('../../src/cli/meltica.ts', import.meta.url))
const BIG = 'binance-spot-btcusdt-ethusdt-20240808'

let redis: TestRedis
let folder: string

before(async () => {
  redis = await startPrivateRedis()
  folder = mkdtempSync(join(tmpdir(), 'meltica-kill-'))
})
after(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** The command line in a process group of its own, killed as a whole, threads and all. */
async function runAndKill(args: readonly string[], prefix: string, entriesMin: number, afterMs: number): Promise<void> {
  // What steers the tests is no setting, and would be refused.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MELTICA_')))
  const child = spawn(process.execPath, [ENTRY, ...args], { detached: true, stdio: 'ignore', env })
  const before = await entriesOf(prefix)
  while (child.exitCode === null && (await entriesOf(prefix)) < before + entriesMin)
    await new Promise((resolve) => setTimeout(resolve, 5))
  expect(child.exitCode, 'it runs until it is killed').to.equal(null)
  // The moment itself is random: anywhere in a call, between two of them, or in the middle of a snapshot.
  await new Promise((resolve) => setTimeout(resolve, afterMs))
  await killGroup(child)
}

async function killGroup(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.pid === undefined) return
  process.kill(-child.pid, 'SIGKILL')
  await once(child, 'exit')
}

async function entriesOf(prefix: string): Promise<number> {
  const keys = Object.values(await redis.client.hgetall(`${prefix}:catalog`))
  const lengths = await Promise.all(keys.map((key) => redis.client.xlen(key)))
  return lengths.reduce((sum, length) => sum + length, 0)
}

const KILLS = 3

describe('killed with -9 and started again', function () {
  this.timeout(60_000)
  // Whole systems share the machine with other files here; what fails on it twice is no accident.
  this.retries(1)

  it('replays a capture to the end without a hole and without a second copy', async function () {
    needRecording(this, BIG)
    const lines = readCapture(capturePath(BIG)).slice(0, 6_000)
    const file = join(folder, 'short.jsonl.gz')
    writeCapture(file, lines)
    const prefix = redis.uniquePrefix()
    const random = randomOf(Date.now())
    const args = ['start', '--replay', file, '--retention', 'none', '--redis', redis.url, '--prefix', prefix, '--json']
    const quiet = ['--set', 'telemetry.listen=off']
    for (let kills = 0; kills < KILLS; kills += 1)
      await runAndKill([...args, ...quiet, '--speed', '30'], prefix, kills === 0 ? 50 : 5, random(300))
    expectDense(await Wire.read(redis.client, prefix))
    const { code, err } = await meltica([...args, ...quiet, '--speed', 'max', '--until-done'])
    expect(code, err).to.equal(0)
    const wire = await Wire.read(redis.client, prefix)
    expectDense(wire)
    expectOracle(wire, expectedOf(lines), KILLS + 1)
    expectDigits(wire, lines)
  })

  it('tells what it missed of a market that went on, and has what the venue could still tell', async () => {
    const ledger = join(folder, 'ledger.jsonl')
    const market = startMeltica(['simulate', '--instruments', '3', '--seed', '5', '--rate', '400', '--ledger', ledger])
    try {
      const { ws, rest } = JSON.parse(await firstLine(market)) as { ws: string; rest: string }
      market.stdout.resume()
      const prefix = redis.uniquePrefix()
      const random = randomOf(Date.now())
      const venue = ['--set', `venues.binance.streamUrl=${ws}`, '--set', `venues.binance.restUrl=${rest}`]
      const base = ['start', '--redis', redis.url, '--prefix', prefix, '--json', '--retention', 'none']
      const args = [...base, ...venue, '--set', 'telemetry.listen=off']
      for (let kills = 0; kills < 4; kills += 1) await runAndKill(args, prefix, 100, random(700))
      const { code, err } = await meltica([...args, '--for', '4s'])
      expect(code, err).to.equal(0)
      const wire = await Wire.read(redis.client, prefix)
      market.kill('SIGTERM')
      await once(market, 'exit')
      expectDense(wire)
      const result = await checkStreams(wire, readFileSync(ledger, 'utf8').split('\n'))
      expect(result.examples, JSON.stringify(result)).to.deep.equal([])
      expect(result.notes.gaps).to.be.greaterThan(0)
      expect(result.notes.booksCompared).to.be.greaterThan(20)
    } finally {
      market.kill('SIGKILL')
    }
  })
})
