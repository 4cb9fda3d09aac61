import type { ChannelGate, OpenedAs } from '../control/channel-gate.ts'
import type { ChannelState } from '../control/contract.ts'
import { asInstrument, asMarket } from '../domain/instrument.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import { Script } from './script.ts'

const closeScript = new Script('control-close-1.lua')

const CALLS_AT_ONCE = 100

/** Closes channels in the state that the append script reads. Throws: BusError. */
export class RedisChannelGate implements ChannelGate {
  readonly #connection: RedisConnection
  readonly #keys: Keys

  constructor(connection: RedisConnection, keys: Keys) {
    this.#connection = connection
    this.#keys = keys
  }

  async close(channels: readonly ChannelState[]): Promise<void> {
    await this.#run(channels, 'close')
  }

  async open(channels: readonly ChannelState[]): Promise<readonly OpenedAs[]> {
    return (await this.#run(channels, 'open')) as OpenedAs[]
  }

  async #run(channels: readonly ChannelState[], word: 'close' | 'open'): Promise<string[]> {
    const answers: string[] = []
    for (let start = 0; start < channels.length; start += CALLS_AT_ONCE) {
      const calls = channels.slice(start, start + CALLS_AT_ONCE).map(async ({ market, instrument, type, version }) => {
        const state = this.#keys.state(asMarket(market), asInstrument(instrument))
        const reply = await closeScript.run(this.#connection, [1, state, type, version, word])
        return (reply as string[])[0] as string
      })
      answers.push(...(await Promise.all(calls)))
    }
    return answers
  }
}
