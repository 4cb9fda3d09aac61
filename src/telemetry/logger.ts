import { pino } from 'pino'
import type { Clock } from '../lib/clock.ts'
import { hidePasswords, hideSecrets } from '../lib/secrets.ts'
import { metrics } from './metrics.ts'

export type LogFields = Readonly<Record<string, unknown>>
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/**
 * One line an incident. `kind` is a fixed word of the code, for example `redis-lost`; lines of one kind are limited, so
 * that a storm of one trouble neither fills a disk nor hides the others.
 */
export interface Logger {
  debug(kind: string, message: string, fields?: LogFields): void
  info(kind: string, message: string, fields?: LogFields): void
  warn(kind: string, message: string, fields?: LogFields): void
  error(kind: string, message: string, fields?: LogFields): void
  /** Tells what was suppressed and not told yet. */
  flush(): void
}

export interface LoggerOptions {
  readonly level: 'trace' | LogLevel | 'fatal' | 'silent'
  readonly format: 'json' | 'pretty'
  readonly clock: Clock
  /** Fields of every line, for example the worker's name. */
  readonly base: LogFields
  readonly write: (line: string) => void
}

/** Lines of one kind within one window; the rest is counted and told when the window ends. */
const LINES_PER_WINDOW = 5
const WINDOW_MS = 10_000
/** Kinds remembered; beyond, all further ones share one limit. */
const KINDS_MAX = 500
const OVERFLOW_KIND = 'other-kinds'

interface KindWindow {
  beganMs: number
  lines: number
  suppressed: number
}

/** A logger that writes JSON lines, or readable ones for a terminal. Secrets are hidden in messages and fields. */
export function createLogger(options: LoggerOptions): Logger {
  const { clock } = options
  const write = options.format === 'json' ? options.write : (line: string) => options.write(readable(line))
  const sink = pino(
    {
      level: options.level,
      base: options.base,
      messageKey: 'message',
      timestamp: () => `,"time":"${new Date(clock.nowUs() / 1000).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  )
  const windows = new Map<string, KindWindow>()

  const tellSuppressed = (kind: string, window: KindWindow): void => {
    if (window.suppressed === 0) return
    sink.warn({ kind, suppressed: window.suppressed }, `${window.suppressed} more lines of this kind were suppressed`)
    window.suppressed = 0
  }

  const admit = (kind: string): boolean => {
    const known = windows.has(kind) || windows.size < KINDS_MAX ? kind : OVERFLOW_KIND
    const nowMs = clock.monotonicMs()
    let window = windows.get(known)
    if (window === undefined || nowMs - window.beganMs >= WINDOW_MS) {
      if (window !== undefined) tellSuppressed(known, window)
      window = { beganMs: nowMs, lines: 0, suppressed: 0 }
      windows.set(known, window)
    }
    if (window.lines++ < LINES_PER_WINDOW) return true
    if (window.suppressed++ === 0) {
      const suppressing = window
      clock.after(WINDOW_MS - (nowMs - window.beganMs), () => tellSuppressed(known, suppressing))
    }
    metrics.logLinesSuppressed.inc()
    return false
  }

  const log = (level: LogLevel, kind: string, message: string, fields: LogFields = {}): void => {
    if (!sink.isLevelEnabled(level) || !admit(kind)) return
    sink[level]({ kind, ...describeFields(fields) }, hidePasswords(message))
  }

  return {
    debug: (kind, message, fields) => log('debug', kind, message, fields),
    info: (kind, message, fields) => log('info', kind, message, fields),
    warn: (kind, message, fields) => log('warn', kind, message, fields),
    error: (kind, message, fields) => log('error', kind, message, fields),
    flush: () => {
      for (const [kind, window] of windows) tellSuppressed(kind, window)
    },
  }
}

function describeFields(fields: LogFields): LogFields {
  const plain = Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? describeError(value) : value]),
  )
  return hideSecrets(plain) as LogFields
}

/** An error with its causes on one line, without stacks: the place is told by `--debug`. */
function describeError(error: Error): LogFields {
  const code = 'code' in error ? { code: String(error.code) } : {}
  const cause = error.cause instanceof Error ? { cause: describeError(error.cause) } : {}
  return { name: error.name, ...code, message: error.message, ...cause }
}

/** `12:00:00.123 WARN  redis-lost: message worker=a` for people. */
function readable(line: string): string {
  const { level, time, kind, message, ...fields } = JSON.parse(line) as Record<string, unknown>
  const rest = Object.entries(fields).map(
    ([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  return `${String(time).slice(11, 23)} ${String(level).toUpperCase().padEnd(5)} ${String(kind)}: ${String(message)}${rest.join('')}\n`
}
