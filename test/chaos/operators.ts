import { Random } from '../../src/simulator/market/random.ts'

const TOKEN = 'chaos-operator-token'
export const GATEWAY_TOKENS = JSON.stringify([{ name: 'chaos', roles: ['read', 'operate'], token: TOKEN }])
/** A minute: all gateways may be down, and start slowly on a busy machine. */
const TRIES_MAX = 120
const RETRY_MS = 500
const REQUEST_MS_MAX = 8_000

interface Told {
  readonly commandId: string
  readonly subscriptionId: string
}

/** Changes subscriptions through whichever gateway answers, as operators do, and asks at the end what became of each command. */
export class Operators {
  readonly #addresses: readonly string[]
  readonly #instruments: readonly string[]
  readonly #random: Random
  /** What a Redis that failed over lacked is unknown afterwards, commands and subscriptions too. */
  readonly #mayLose: boolean
  readonly #commands: string[] = []
  readonly #open: string[] = []
  /** Why it could not go on. */
  failure: string | null = null
  #retries = 0
  #keys = 0
  #closed = false
  readonly #loop: Promise<void>

  constructor(
    addresses: readonly string[],
    instruments: readonly string[],
    { seed, everyMs, mayLose }: { readonly seed: number; readonly everyMs: number; readonly mayLose: boolean },
  ) {
    this.#addresses = addresses
    this.#instruments = instruments
    this.#random = new Random(seed, 9)
    this.#mayLose = mayLose
    this.#loop = this.#work(everyMs).catch((error: unknown) => {
      this.failure = String(error)
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#loop
  }

  /** Every command by what became of it. */
  async outcome(): Promise<{ readonly byStatus: Record<string, number>; readonly retries: number }> {
    const byStatus: Record<string, number> = {}
    for (const id of this.#commands) {
      const found = await this.#ask<{ status: string }>('GET', `/v1/commands/${id}?wait=20s`)
      const status = found?.status ?? 'lost'
      byStatus[status] = (byStatus[status] ?? 0) + 1
    }
    return { byStatus, retries: this.#retries }
  }

  async #work(everyMs: number): Promise<void> {
    while (!this.#closed) {
      const ends = this.#open.length > 0 && this.#random.unit() < 0.5
      const told = ends
        ? await this.#ask<Told>(
            'DELETE',
            `/v1/subscriptions/${this.#open.splice(this.#random.below(this.#open.length), 1)}`,
          )
        : await this.#ask<Told>('POST', '/v1/subscriptions', {
            consumer: `chaos-${this.#random.below(5)}`,
            market: 'BINANCE-SPOT',
            instrument: this.#instruments[this.#random.below(this.#instruments.length)],
            type: ['TRADE', 'QUOTE', 'ORDERBOOK'][this.#random.below(3)],
          })
      if (told !== null) this.#commands.push(told.commandId)
      if (told !== null && !ends) this.#open.push(told.subscriptionId)
      await new Promise((resolve) => setTimeout(resolve, this.#random.unit() * everyMs * 2))
    }
  }

  /** A write is repeated with the same Idempotency-Key until a gateway answers. */
  async #ask<Answer>(method: string, path: string, body?: object): Promise<Answer | null> {
    const key = `chaos-${this.#keys++}`
    let found = ''
    for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
      const address = this.#addresses[this.#random.below(this.#addresses.length)]
      try {
        const response = await fetch(`${address}${path}`, {
          method,
          headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', 'idempotency-key': key },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          signal: AbortSignal.timeout(path.includes('wait=') ? 30_000 : REQUEST_MS_MAX),
        })
        if (response.ok) return (await response.json()) as Answer
        found = `${response.status} ${await response.text()}`
        if (response.status === 404 && this.#mayLose) return null
        if (response.status < 500 && response.status !== 429) break
      } catch (error) {
        found = String(error)
      }
      this.#retries += 1
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
    throw new Error(`expected an answer to ${method} ${path}, found ${found}`)
  }
}
