import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const ENTRY = fileURLToPath(new URL('../../src/cli/meltica.ts', import.meta.url))

export interface Finished {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs the real command line to its end; the environment holds no setting but those given. */
export async function meltica(args: readonly string[], environment: Record<string, string> = {}): Promise<Finished> {
  const child = startMeltica(args, environment)
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out, err }
}

/** Starts the real command line; the caller ends it. */
export function startMeltica(
  args: readonly string[],
  environment: Record<string, string> = {},
): ChildProcessWithoutNullStreams {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MELTICA_')))
  // Files of tests run beside each other, so nobody may count on a port.
  const ports = args[0] === 'start' ? { MELTICA_TELEMETRY__LISTEN: '127.0.0.1:0' } : {}
  return spawn(process.execPath, [ENTRY, ...args], { env: { ...clean, ...ports, ...environment } })
}

/** The first line of output. */
export async function firstLine(child: ChildProcessWithoutNullStreams): Promise<string> {
  let text = ''
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    text += String(chunk)
    const end = text.indexOf('\n')
    if (end >= 0) return text.slice(0, end)
  }
  return text
}
