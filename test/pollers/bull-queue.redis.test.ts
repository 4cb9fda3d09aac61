import { expect } from 'chai'
import { asInstrument, asMarket } from '../../src/domain/instrument.ts'
import { BullQueue } from '../../src/pollers/bull-queue.ts'
import type { DuePoll, WantedPoll } from '../../src/pollers/poll.ts'
import { openQueueClient, redisAt } from '../../src/redis/connection.ts'
import { eventually, startPrivateRedis, type TestRedis } from '../support/redis.ts'

const COMMAND_TIMEOUT_MS = 300
const wanted: WantedPoll = {
  ...{ pollId: 'BINANCE-SPOT|BTC-USDT|TICKER', market: asMarket('BINANCE-SPOT'), instrument: asInstrument('BTC-USDT') },
  ...{ type: 'TICKER', everyMs: 200 },
}

describe('the queue of polls', () => {
  let redis: TestRedis
  let queue: BullQueue
  let failures: unknown[]

  beforeEach(async () => {
    redis = await startPrivateRedis()
    failures = []
    const options = { ...redisAt(redis.url), commandTimeoutMs: COMMAND_TIMEOUT_MS }
    const clients = [openQueueClient(options, 'orders'), openQueueClient(options, 'waits')] as const
    for (const client of clients) client.on('error', () => {})
    queue = new BullQueue({
      ...{ client: clients[0], waitingClient: clients[1], prefix: 'meltica:{bull}:polls', venue: 'binance' },
      ...{ atOnceMax: 2, failed: (error) => failures.push(error) },
    })
  })
  afterEach(async () => {
    process.kill(redis.pid, 'SIGCONT')
    await queue.close()
    await redis.stop()
  })

  async function failsWithin(ms: number): Promise<void> {
    const beganMs = performance.now()
    const outcome = await queue.keep([wanted]).then(
      () => 'kept',
      () => 'failed',
    )
    expect(outcome).to.equal('failed')
    expect(performance.now() - beganMs).to.be.below(ms)
  }

  it('says in time that the schedule could not be kept while Redis stands still, and keeps it when it goes on', async () => {
    expect(await queue.keep([])).to.deep.equal({ added: 0, removed: [] })
    process.kill(redis.pid, 'SIGSTOP')
    await failsWithin(COMMAND_TIMEOUT_MS * 5)
    await failsWithin(COMMAND_TIMEOUT_MS * 5)
    process.kill(redis.pid, 'SIGCONT')
    const { added } = await eventually(() => queue.keep([wanted]).catch(() => null))
    expect(added).to.equal(1)
  })

  it('hands out what is due again after Redis stood still', async () => {
    const due: DuePoll[] = []
    queue.work(async (poll) => void due.push(poll))
    await queue.keep([wanted])
    await eventually(() => due.length > 0)
    process.kill(redis.pid, 'SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, COMMAND_TIMEOUT_MS * 3))
    process.kill(redis.pid, 'SIGCONT')
    const before = due.length
    await eventually(() => due.length > before + 2, 15_000)
  })
})
