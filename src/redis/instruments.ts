import type { InstrumentInfo } from '../domain/instrument.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'

const WRITES_AT_ONCE_MAX = 200

/** Writes what the venue tells about its instruments into their public hashes. `nowUs` becomes `updatedAt`. Throws: BusError. */
export async function writeInstruments(
  connection: RedisConnection,
  keys: Keys,
  infos: readonly InstrumentInfo[],
  nowUs: number,
): Promise<void> {
  const updatedAt = String(nowUs)
  for (let start = 0; start < infos.length; start += WRITES_AT_ONCE_MAX) {
    const writes = infos.slice(start, start + WRITES_AT_ONCE_MAX).map((info) => {
      const { base, quote, tickSize, stepSize, minNotional, status } = info
      const fields = { base, quote, tickSize, stepSize, minNotional, status, updatedAt }
      return connection.send('hset', [keys.instrument(info.market, info.instrument), ...Object.entries(fields).flat()])
    })
    await Promise.all(writes)
  }
}
