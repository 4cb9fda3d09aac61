import { readFileSync } from 'node:fs'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { UnavailableError, UsageError } from '../errors.ts'
import { BusError, describe, toBusError } from './errors.ts'
import { EncodedCommand, PackedCommand } from './packed-command.ts'
import { SentinelWatch } from './sentinel-watch.ts'

/** How to reach Redis; the shape of `redis` in the configuration. */
export interface RedisConnectionOptions {
  /** `redis://[user:password@]host:port[/db]`, `rediss://` with TLS, or `unix:///path`. For mode `single`. */
  readonly url: string | null
  readonly mode: 'single' | 'sentinel' | 'cluster'
  /** `host:port` of the sentinels, or of some nodes of the cluster. */
  readonly nodes: readonly string[]
  readonly sentinelName: string | null
  /** For the sentinels themselves; null or absent: they ask for none. */
  readonly sentinelUsername?: string | null
  readonly sentinelPassword?: string | null
  readonly username: string | null
  readonly password: string | null
  /** Read when `password` is null; a line feed at its end is no part of it. */
  readonly passwordFile?: string | null
  readonly tls: {
    readonly enabled: boolean
    readonly caFile: string | null
    readonly certFile: string | null
    readonly keyFile: string | null
    readonly servername: string | null
  }
  readonly connectTimeoutMs: number
  readonly commandTimeoutMs: number
}

/** Options for a single server at `url`, everything else as by default. */
export function redisAt(url: string): RedisConnectionOptions {
  const tls = { enabled: false, caFile: null, certFile: null, keyFile: null, servername: null }
  const address = { url, mode: 'single', nodes: [], sentinelName: null, username: null, password: null } as const
  return { ...address, tls, connectTimeoutMs: 5_000, commandTimeoutMs: 5_000 }
}

/**
 * `command` never queues and never sends again by itself: whoever offered knows at once and offers again when it is ready.
 * `blocking` waits inside Redis, so nothing else may use it. `queue` is for a library that minds all
 * this by itself: what it sends while there is no connection waits, at most for as long as an answer may take.
 */
export type ConnectionKind = 'command' | 'blocking' | 'queue'

/** Told what happens to a connection; messages hold no secret. */
export interface ConnectionObserver {
  /** Every failure, also while it is trying again: to be counted, and logged at a limited rate. */
  failed(kind: ConnectionKind, message: string): void
  /** The connection stands; `again` when it had been lost. */
  ready(kind: ConnectionKind, again: boolean): void
}

const RETRY_DELAY_MS_MIN = 50
/** With a heartbeat on top it is shorter than `cluster.expiryMs`: all are back before somebody counts as gone after an outage. */
const RETRY_DELAY_MS_MAX = 1_000
const KEEP_ALIVE_MS = 10_000
/** Redis guesses how long it still loads; it is asked at least so often. */
const LOADING_ASKED_MS = 500
const SENTINEL_ANSWER_MS_MAX = 1_000
/** The queue's library waits inside Redis for no longer. */
const QUEUE_WAITS_MS_MAX = 10_000
/** One that was left does not answer the farewell when it stands still. */
const DISCONNECT_MS = 200

/** One connection to Redis that reopens for ever until it is closed. Errors come as `BusError`. */
export class RedisConnection {
  readonly kind: ConnectionKind
  readonly isCluster: boolean
  /** Where it leads, without user and password. */
  readonly address: string
  readonly #client: Redis | Cluster
  readonly #options: RedisConnectionOptions
  readonly #observer: ConnectionObserver | null
  readonly #nodes = new Set<RedisConnection>()
  readonly #sentinels: SentinelWatch | null
  /** The master that the sentinels named last. */
  #switchedTo = ''
  #lastFailure = ''
  #wasReady = false
  #run = ''
  /** How often it was lost. */
  #losses = 0
  #closed = false

  constructor(options: RedisConnectionOptions, kind: ConnectionKind, observer: ConnectionObserver | null = null) {
    this.kind = kind
    this.isCluster = options.mode === 'cluster'
    this.address = addressOf(options)
    this.#observer = observer
    this.#options = options
    this.#client = createClient(options, kind)
    this.#sentinels = this.#client instanceof Redis ? this.#watchSentinels(this.#client) : null
    this.#client.on('error', (error: unknown) => this.#failed(error))
    this.#client.on('node error', (error: unknown) => this.#failed(error))
    this.#client.on('ready', () => {
      this.#observer?.ready(this.kind, this.#wasReady)
      this.#wasReady = true
      if (this.#client instanceof Redis && kind === 'command') this.#learnRun(this.#client)
    })
    this.#client.on('close', () => {
      this.#losses++
      this.#run = ''
    })
  }

  get isReady(): boolean {
    return this.#client.status === 'ready'
  }

  /**
   * `run_id` of the process to which the next command goes, '' while that is not known. A TCP connection leads to one process
   * for as long as it stands, and nothing is sent again on another one; in a cluster a command may be redirected, so there it is
   * never known.
   */
  get run(): string {
    return this.#run
  }

  /** Sends one command. Texts in, texts out. Throws: BusError, with `outcomeUnknown` when it may have been carried out. */
  async send(name: string, args: (string | number)[]): Promise<unknown> {
    try {
      const answer = new PackedCommand(name, args).askOf(this.#client)
      return await (this.kind === 'blocking' ? this.#inTime(answer, args) : answer)
    } catch (error) {
      throw toBusError(error)
    }
  }

  /** The same, bytes out: for replies of which little is looked at. */
  async sendForBytes(name: string, args: (string | number)[]): Promise<unknown> {
    try {
      return await new PackedCommand(name, args, null).askOf(this.#client)
    } catch (error) {
      throw toBusError(error)
    }
  }

  /** The same as `send` of every master of a cluster, else of the one there is. Throws: BusError. */
  async sendToMasters(name: string, args: (string | number)[]): Promise<unknown[]> {
    const masters = this.#client instanceof Cluster ? this.#client.nodes('master') : [this.#client]
    try {
      return await Promise.all(masters.map((master) => new PackedCommand(name, args).askOf(master)))
    } catch (error) {
      throw toBusError(error)
    }
  }

  /**
   * A connection of its own to the node of a cluster that has this key now, for a command that waits there: two that wait
   * on one connection wait for each other. It ends with this one at the latest. After `moved`, or when it was lost, the next
   * one leads to the new place.
   *
   * Throws: BusError `unreachable` while the cluster's layout is not known.
   */
  toNodeOf(key: string): RedisConnection {
    const client = this.#client
    const node = client instanceof Cluster ? client.slots[new PackedCommand('exists', [key]).getSlot()]?.[0] : undefined
    if (node === undefined) throw new BusError('unreachable', 'no node of the cluster is known for the key')
    const connection = new RedisConnection({ ...this.#options, ...atNode(node) }, this.kind, this.#observer)
    for (const before of this.#nodes) if (before.#closed) this.#nodes.delete(before)
    this.#nodes.add(connection)
    return connection
  }

  /** Asks the cluster anew which node has what; on anything else it does nothing. */
  async relocate(): Promise<void> {
    const client = this.#client
    if (client instanceof Cluster) await new Promise<void>((resolve) => client.refreshSlotsCache(() => resolve()))
  }

  /** Sends a command that stands as bytes; `key` is one of its keys. Texts out. Throws: BusError, as `send`. */
  async sendEncoded(name: 'evalsha' | 'eval', key: string, bytes: Buffer): Promise<unknown> {
    try {
      return await new EncodedCommand(name, key, bytes).askOf(this.#client)
    } catch (error) {
      throw toBusError(error)
    }
  }

  /**
   * Waits for the connection.
   *
   * Throws: UnavailableError at the first failure (it goes on trying nevertheless), or when nothing came in time.
   */
  async ready(): Promise<void> {
    if (this.isReady) return
    const client = this.#client
    const problem = await new Promise<string | null>((resolve) => {
      const failed = (error: unknown): void => finish(this.#textOf(error))
      const ready = (): void => finish(null)
      const timer = setTimeout(
        () => finish(this.#lastFailure || `nothing for ${this.#options.connectTimeoutMs} ms`),
        this.#options.connectTimeoutMs,
      )
      const finish = (outcome: string | null): void => {
        clearTimeout(timer)
        client.off('error', failed).off('ready', ready)
        resolve(outcome)
      }
      client.once('error', failed).once('ready', ready)
      if (this.#lastFailure !== '') finish(this.#lastFailure)
    })
    if (problem !== null) throw new UnavailableError(`Expected Redis at ${this.address}, found: ${problem}`)
  }

  /** Waits until it stands, however long that takes, or it is closed: for going on after an outage. */
  async restored(): Promise<void> {
    while (!this.isReady && !this.#closed) {
      await new Promise<void>((resolve) => {
        const client = this.#client
        const finish = (): void => {
          client.off('ready', finish).off('end', finish)
          resolve()
        }
        client.once('ready', finish).once('end', finish)
      })
    }
  }

  /** Closing twice is harmless. Commands in hand are rejected. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const node of this.#nodes) node.close()
    this.#sentinels?.close()
    this.#client.disconnect()
  }

  /**
   * A blocking command may be silent for as long as it said. Whoever is silent for longer is not there any more, whatever
   * the network says: then the connection is opened anew.
   */
  #inTime(answer: Promise<unknown>, args: readonly (string | number)[]): Promise<unknown> {
    const at = args.findIndex((arg) => String(arg).toUpperCase() === 'BLOCK')
    const timeoutMs = this.#options.commandTimeoutMs + (at === -1 ? 0 : Number(args[at + 1]))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new BusError('timeout', `Redis did not answer within ${timeoutMs} ms`, { outcomeUnknown: true }))
        if (this.#client instanceof Redis && !this.#closed) reconnect(this.#client)
      }, timeoutMs)
      answer.finally(() => clearTimeout(timer)).then(resolve, reject)
    })
  }

  #watchSentinels(client: Redis): SentinelWatch | null {
    const { mode, nodes, sentinelName, sentinelUsername, sentinelPassword, connectTimeoutMs, tls } = this.#options
    if (mode !== 'sentinel' || sentinelName === null) return null
    return new SentinelWatch({
      sentinels: nodes.map(parseNode),
      name: sentinelName,
      redisOptions: {
        connectTimeout: connectTimeoutMs,
        ...(sentinelUsername ? { username: sentinelUsername } : {}),
        ...(sentinelPassword ? { password: sentinelPassword } : {}),
        ...(tls.enabled ? { tls: tlsOptions(this.#options) } : {}),
      },
      switched: (address) => {
        if (address === this.#switchedTo || this.#closed) return
        this.#switchedTo = address
        reconnect(client)
      },
      failed: (error) => {
        if (!this.#closed) this.#observer?.failed(this.kind, `a sentinel: ${this.#textOf(error)}`)
      },
    })
  }

  #learnRun(client: Redis): void {
    const losses = this.#losses
    client.info('server').then(
      (info) => {
        if (losses === this.#losses) this.#run = /^run_id:(\w+)/m.exec(info)?.[1] ?? ''
      },
      // Whoever needs it asks in the script that needs it, and is told there what is wrong.
      () => {},
    )
  }

  #failed(error: unknown): void {
    this.#lastFailure = this.#textOf(error)
    if (!this.#closed) this.#observer?.failed(this.kind, this.#lastFailure)
  }

  #textOf(error: unknown): string {
    const lastNode = error instanceof Error && 'lastNodeError' in error ? error.lastNodeError : null
    const { message, code } = describe(lastNode ?? error)
    return message === '' ? code : message
  }
}

/**
 * A client for the queue's library; the caller closes it. One that gives orders fails at once while Redis is away, and its
 * owner tries again; one that waits for work is reopened by the library. On neither does a command wait for ever.
 *
 * Throws: UsageError when the options do not fit the mode.
 */
export function openQueueClient(options: RedisConnectionOptions, use: 'orders' | 'waits'): Redis | Cluster {
  return createClient(options, use === 'waits' ? 'queue' : 'command')
}

/** Only where it is connected: one that is just asking the sentinels would take it for its end. */
function reconnect(client: Redis): void {
  if (client.status === 'ready' || client.status === 'connect') client.disconnect(true)
}

function createClient(options: RedisConnectionOptions, kind: ConnectionKind): Redis | Cluster {
  const common = commonOptions(options, kind)
  if (options.mode === 'single') {
    if (options.url === null) throw new UsageError('Expected redis.url for mode single, found none')
    const url = new URL(options.url)
    if (url.protocol === 'unix:') return new Redis({ ...common, path: decodeURIComponent(url.pathname) })
    const tls = common.tls ?? (url.protocol === 'rediss:' ? tlsOptions(options) : undefined)
    // ioredis prefers the options to what the URL says, so only what is set may stand in them.
    return new Redis(options.url, { ...common, ...(tls ? { tls } : {}) })
  }
  if (options.nodes.length === 0) throw new UsageError(`Expected redis.nodes for mode ${options.mode}, found none`)
  const nodes = options.nodes.map(parseNode)
  if (options.mode === 'cluster') {
    const { retryStrategy: clusterRetryStrategy, enableOfflineQueue, ...redisOptions } = common
    return new Cluster(nodes, {
      clusterRetryStrategy,
      enableOfflineQueue,
      redisOptions,
      slotsRefreshTimeout: options.connectTimeoutMs,
      // What was under way when a node was lost may have been carried out: that is for the caller to know.
      retryDelayOnFailover: 0,
    })
  }
  if (options.sentinelName === null) throw new UsageError('Expected redis.sentinelName for mode sentinel, found none')
  const sentinelTls = common.tls ? { enableTLSForSentinelMode: true, sentinelTLS: common.tls } : {}
  return new Redis({
    ...common,
    ...sentinelTls,
    ...(options.sentinelUsername ? { sentinelUsername: options.sentinelUsername } : {}),
    ...(options.sentinelPassword ? { sentinelPassword: options.sentinelPassword } : {}),
    sentinels: nodes,
    name: options.sentinelName,
    sentinelRetryStrategy: retryDelayMs,
    sentinelCommandTimeout: Math.min(SENTINEL_ANSWER_MS_MAX, options.connectTimeoutMs),
  })
}

function commonOptions(options: RedisConnectionOptions, kind: ConnectionKind) {
  const password =
    options.password ?? (options.passwordFile ? readText('redis.passwordFile', options.passwordFile).trimEnd() : null)
  const answerMs = options.commandTimeoutMs + (kind === 'queue' ? QUEUE_WAITS_MS_MAX : 0)
  return {
    connectionName: `meltica-${kind}`,
    connectTimeout: options.connectTimeoutMs,
    keepAlive: KEEP_ALIVE_MS,
    noDelay: true,
    enableOfflineQueue: kind === 'queue',
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: kind === 'queue' ? null : 0,
    retryStrategy: retryDelayMs,
    disconnectTimeout: DISCONNECT_MS,
    maxLoadingRetryTime: LOADING_ASKED_MS,
    // A master that became a replica keeps its connections; who leads now is found by connecting anew.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
    // Silence of the whole connection for as long as a command may take: the other end is gone without a word.
    ...(kind === 'blocking' ? {} : { commandTimeout: answerMs, socketTimeout: answerMs }),
    ...(options.username === null ? {} : { username: options.username }),
    ...(password === null ? {} : { password }),
    ...(options.tls.enabled ? { tls: tlsOptions(options) } : {}),
  } satisfies RedisOptions
}

/** Full jitter, so that a fleet does not come back at one moment; never gives up. */
function retryDelayMs(attempt: number): number {
  const ceilingMs = Math.min(RETRY_DELAY_MS_MAX, RETRY_DELAY_MS_MIN * 2 ** Math.min(attempt, 10))
  return RETRY_DELAY_MS_MIN + Math.random() * (ceilingMs - RETRY_DELAY_MS_MIN)
}

function tlsOptions(options: RedisConnectionOptions): TlsOptions {
  const { caFile, certFile, keyFile, servername } = options.tls
  return {
    ...(caFile ? { ca: readText('redis.tls.caFile', caFile) } : {}),
    ...(certFile ? { cert: readText('redis.tls.certFile', certFile) } : {}),
    ...(keyFile ? { key: readText('redis.tls.keyFile', keyFile) } : {}),
    ...(servername ? { servername } : {}),
  }
}

function readText(setting: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new UsageError(
      `Expected ${setting} to name a file that can be read, found ${file}: ${describe(cause).message}`,
      { cause },
    )
  }
}

function atNode(node: string): Pick<RedisConnectionOptions, 'mode' | 'nodes' | 'url'> {
  return { mode: 'single', nodes: [], url: `redis://${node}` }
}

function parseNode(node: string): { host: string; port: number } {
  const at = node.lastIndexOf(':')
  return { host: node.slice(0, at), port: Number(node.slice(at + 1)) }
}

function addressOf(options: RedisConnectionOptions): string {
  if (options.mode !== 'single') return `${options.mode} ${options.nodes.join(', ')}`
  const url = new URL(options.url ?? 'redis://')
  return url.protocol === 'unix:' ? url.pathname : `${url.hostname}:${url.port || 6379}`
}
