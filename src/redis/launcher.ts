import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { Readable } from 'node:stream'
import { UnavailableError } from '../errors.ts'

/**
 * Starts a private `redis-server` that cannot outlive this process, whatever ends it.
 *
 * A small shell stands between the two. It holds the reading end of a pipe whose writing end only we hold, so the end of
 * the pipe is the end of us, also after `kill -9`, and it then ends the server and removes its temporary directory. Shell and
 * server are a session of their own: Ctrl-C on the terminal reaches us alone, and we still have a Redis to finish with.
 * If the shell itself is killed, its watcher is still there and ends the server.
 */
const WRAPPER = `
exec 3<&0
directory="$1"
shift
"$@" 3<&- </dev/null &
server=$!
echo "server-pid $server"
(
  read -r _ <&3
  kill -TERM "$server" 2>/dev/null || exit 0
  for _ in 1 2 3 4 5; do
    sleep 1
    kill -0 "$server" 2>/dev/null || exit 0
  done
  kill -KILL "$server" 2>/dev/null
) >/dev/null 2>&1 &
watcher=$!
wait "$server"
status=$?
kill "$watcher" 2>/dev/null
[ -n "$directory" ] && rm -rf -- "$directory"
exit "$status"
`

const READY = 'Ready to accept connections'
const PORT_ATTEMPTS_MAX = 5
const OUTPUT_KEPT_CHARS = 4_000
const STOP_TIMEOUT_MS = 8_000

export interface LaunchOptions {
  /** Where data is kept. Not given: a temporary directory, removed at the end. */
  readonly directory?: string
  /** Keep an append-only file in `directory`. Default false: nothing is persisted. */
  readonly appendOnly?: boolean
  /** Not given: a free one. A given port that is taken is an error. */
  readonly port?: number
  /** Bytes; 0 (the default) is no bound. The policy is always `noeviction`. */
  readonly maxMemoryBytes?: number
  /** How long the server may take to be ready, loading its file included. Default 30,000. */
  readonly readyTimeoutMs?: number
  /** More arguments for the server, for example `['--appendfsync', 'always']`. */
  readonly extraArguments?: readonly string[]
  /** Where to look for the program; default the environment's PATH. */
  readonly path?: string
}

export interface LaunchedRedis {
  readonly url: string
  readonly port: number
  /** The server's own process id. */
  readonly pid: number
  /** Resolves when the server has ended, for whatever reason. */
  readonly ended: Promise<void>
  /** Ends the server and waits for it; a second call waits for the same end. */
  stop(): Promise<void>
}

/** First `redis-server` or `valkey-server` on the path, null when there is none. */
export function findRedisServer(path: string = process.env.PATH ?? ''): string | null {
  for (const name of ['redis-server', 'valkey-server']) {
    for (const folder of path.split(delimiter)) {
      if (folder === '') continue
      const file = join(folder, name)
      try {
        accessSync(file, constants.X_OK)
        return file
      } catch {
        // Not in this folder: the next one may have it.
      }
    }
  }
  return null
}

/**
 * Starts `redis-server` or `valkey-server` on 127.0.0.1.
 *
 * Throws: UnavailableError if there is no such program, the given port is taken, or the server does not become ready.
 */
export async function launchRedis(options: LaunchOptions = {}): Promise<LaunchedRedis> {
  const program = findRedisServer(options.path)
  if (program === null) {
    throw new UnavailableError(
      'Expected redis-server or valkey-server on the PATH, found neither. Three ways to give Meltica a Redis: ' +
        'run `npm run setup`, which installs it with the package manager of this machine; ' +
        'install Redis 7.0 or newer yourself and put redis-server on the PATH; ' +
        'or name a running one with `--redis redis://host:port`.',
    )
  }
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort())
    const outcome = await start(program, port, options)
    if (outcome.type === 'ready') return outcome.redis
    const portTaken = /address already in use/i.test(outcome.output)
    if (portTaken && options.port === undefined && attempt < PORT_ATTEMPTS_MAX) continue
    const found = portTaken ? 'the port is taken' : outcome.output.trim().split('\n').slice(-5).join('\n')
    throw new UnavailableError(`Expected ${program} to become ready on 127.0.0.1:${port}, found: ${found}`)
  }
}

type StartOutcome = { type: 'ready'; redis: LaunchedRedis } | { type: 'failed'; output: string }

async function start(program: string, port: number, options: LaunchOptions): Promise<StartOutcome> {
  const temporary = options.directory === undefined ? mkdtempSync(join(tmpdir(), 'meltica-redis-')) : ''
  const directory = options.directory ?? temporary
  mkdirSync(directory, { recursive: true })
  const child = spawn(
    '/bin/sh',
    ['-c', WRAPPER, 'meltica-redis', temporary, program, ...serverArguments(port, directory, options)],
    { stdio: ['pipe', 'pipe', 'ignore'], detached: true },
  )
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      child.stdin.destroy()
      // The wrapper removes it too; this one is for a wrapper that was killed.
      if (temporary !== '') rmSync(temporary, { recursive: true, force: true })
      resolve()
    })
    child.once('error', () => resolve())
  })
  // The pipe breaks when the wrapper ends before us; `ended` tells that.
  child.stdin.on('error', () => undefined)
  const { ready, output, pid } = await readUntilReady(child.stdout, ended, options.readyTimeoutMs ?? 30_000)
  if (!ready) {
    await stop(child, pid, ended)
    return { type: 'failed', output }
  }
  for (const handle of [child, child.stdin, child.stdout]) (handle as { unref?: () => void }).unref?.()
  const redis = { url: `redis://127.0.0.1:${port}`, port, pid, ended, stop: () => stop(child, pid, ended) }
  return { type: 'ready', redis }
}

function serverArguments(port: number, directory: string, options: LaunchOptions): string[] {
  return [
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--daemonize', 'no', '--logfile', ''],
    ...['--loglevel', 'notice', '--save', '', '--appendonly', options.appendOnly ? 'yes' : 'no'],
    ...['--maxmemory-policy', 'noeviction', '--maxmemory', String(options.maxMemoryBytes ?? 0)],
    ...(options.extraArguments ?? []),
  ]
}

interface Start {
  readonly ready: boolean
  readonly output: string
  readonly pid: number
}

/** Ready by the server's own word: an answer on the port could come from somebody else who took it. */
function readUntilReady(stdout: Readable, ended: Promise<void>, timeoutMs: number): Promise<Start> {
  return new Promise((resolve) => {
    let output = ''
    let pid = 0
    const finish = (ready: boolean): void => {
      clearTimeout(timer)
      resolve({ ready, output, pid })
    }
    const timer = setTimeout(() => {
      output += `\nnot ready after ${timeoutMs} ms`
      finish(false)
    }, timeoutMs)
    stdout.setEncoding('utf8')
    // Keeps on draining after the start, or the server would block on a full pipe.
    stdout.on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_KEPT_CHARS)
      if (pid === 0) pid = Number(/^server-pid (\d+)$/m.exec(output)?.[1] ?? 0)
      if (output.includes(READY)) finish(true)
    })
    stdout.once('end', () => finish(false))
    void ended.then(() => setImmediate(finish, false))
  })
}

async function stop(child: ChildProcess, pid: number, ended: Promise<void>): Promise<void> {
  child.stdin?.end()
  const timer = setTimeout(() => {
    if (pid > 0 && child.exitCode === null) process.kill(pid, 'SIGKILL')
  }, STOP_TIMEOUT_MS)
  await ended
  clearTimeout(timer)
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
