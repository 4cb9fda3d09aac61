import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GenericContainer, type StartedTestContainer, Wait } from 'testcontainers'
import type { LaunchedRedis, LaunchOptions } from '../../src/redis/launcher.ts'

/** Marks the containers of the tests, so that what a killed run left behind is found. */
const CONTAINER_LABEL = 'meltica.test'
const POLL_MS = 20

/**
 * The same server as `launchRedis` starts, from a container image. It shares the machine's network, so that a server that
 * is stopped and started again has its old port; keeps its data in a folder of this machine; and runs as our user, so that
 * tests can kill and stop it.
 */
export async function launchContainerRedis(image: string, options: LaunchOptions = {}): Promise<LaunchedRedis> {
  const temporary = options.directory === undefined ? mkdtempSync(join(tmpdir(), 'meltica-redis-')) : null
  const directory = options.directory ?? (temporary as string)
  const port = options.port ?? (await freePort())
  const program = image.includes('valkey') ? 'valkey-server' : 'redis-server'
  const container = await new GenericContainer(image)
    .withNetworkMode('host')
    .withUser(`${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`)
    .withLabels({ [CONTAINER_LABEL]: 'redis' })
    .withBindMounts([{ source: directory, target: directory }])
    .withEntrypoint([program])
    .withCommand([
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', ''],
      ...['--appendonly', options.appendOnly ? 'yes' : 'no', '--maxmemory-policy', 'noeviction'],
      ...['--maxmemory', String(options.maxMemoryBytes ?? 0), ...(options.extraArguments ?? [])],
    ])
    .withWaitStrategy(Wait.forLogMessage('Ready to accept connections'))
    .withStartupTimeout(options.readyTimeoutMs ?? 30_000)
    .start()
  const pid = await pidOf(container)
  const ended = whenGone(pid).then(async () => {
    await container.stop({ remove: true, timeout: 0 }).catch(() => undefined)
    if (temporary !== null) rmSync(temporary, { recursive: true, force: true })
  })
  const stop = async (): Promise<void> => {
    if (isAlive(pid)) process.kill(pid, 'SIGTERM')
    // One that a failed test left standing still hears it only so.
    if (isAlive(pid)) process.kill(pid, 'SIGCONT')
    await ended
  }
  return { url: `redis://127.0.0.1:${port}`, port, pid, ended, stop }
}

/** The server is the container's first process; its number on this machine is what tests kill and stop. */
async function pidOf(container: StartedTestContainer): Promise<number> {
  const { getContainerRuntimeClient } = await import('testcontainers')
  const { container: engine } = await getContainerRuntimeClient()
  const { State } = await engine.inspect(engine.getById(container.getId()))
  return State.Pid
}

async function whenGone(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, POLL_MS).unref())
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
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
