import { Redis, type RedisOptions } from 'ioredis'

const SWITCHED = '+switch-master'
const RECONNECT_MS = 1_000

export interface SentinelWatchOptions {
  readonly sentinels: readonly { readonly host: string; readonly port: number }[]
  /** The master's name. */
  readonly name: string
  readonly redisOptions: Pick<RedisOptions, 'tls' | 'connectTimeout' | 'username' | 'password'>
  /** A sentinel says that another one is the master now; each of them says it. */
  readonly switched: (address: string) => void
  readonly failed: (error: unknown) => void
}

/**
 * Listens to every sentinel for the word that the master is another one: a master that stands still, or is cut off, keeps its
 * connections and says nothing. (The client's own detector leaves the failures of its connections to the console.)
 */
export class SentinelWatch {
  readonly #clients: readonly Redis[]

  constructor({ sentinels, name, redisOptions, switched, failed }: SentinelWatchOptions) {
    this.#clients = sentinels.map((sentinel) => {
      const client = new Redis({
        ...redisOptions,
        ...sentinel,
        connectionName: 'meltica-sentinel-watch',
        enableReadyCheck: false,
        retryStrategy: () => RECONNECT_MS,
        maxRetriesPerRequest: null,
      })
      client.on('error', failed)
      // Subscribes again by itself whenever it is connected again.
      client.subscribe(SWITCHED).catch(failed)
      client.on('message', (_, text: string) => {
        // NAME OLD-HOST OLD-PORT NEW-HOST NEW-PORT
        const [switchedName, , , host, port] = text.split(' ')
        if (switchedName === name) switched(`${host}:${port}`)
      })
      return client
    })
  }

  close(): void {
    for (const client of this.#clients) client.disconnect()
  }
}
