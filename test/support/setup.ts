import fc from 'fast-check'
import type { RootHookObject } from 'mocha'
import { refused } from './loopback-only.mjs'
import { stopStartedRedis } from './redis.ts'

/**
 * What every test run gets: a seed for the property tests that is printed and can be given again with FC_SEED, and the
 * guard that fails a test that opens a connection off this machine, also in the processes that it starts.
 */
const seed = Number(process.env.FC_SEED ?? Math.floor(Math.random() * 2 ** 31))
fc.configureGlobal({ seed })

const guard = `--import=${new URL('./loopback-only.mjs', import.meta.url).href}`
process.env.NODE_OPTIONS = [process.env.NODE_OPTIONS, guard].filter(Boolean).join(' ')

let isSeedTold = false

export const mochaHooks: RootHookObject = {
  beforeAll() {
    if (!isSeedTold) console.log(`  fast-check seed ${seed} (repeat with FC_SEED=${seed})`)
    isSeedTold = true
  },
  async afterAll() {
    await stopStartedRedis()
  },
  afterEach() {
    const hosts = refused.splice(0)
    if (hosts.length > 0) throw new Error(`expected connections on this machine only, found ${hosts.join(', ')}`)
  },
}
