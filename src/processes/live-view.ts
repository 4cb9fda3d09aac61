/** What the live view shows: plain data, so that drawing is a pure function of it. */
export interface LiveModel {
  /** For example `simulated market, seed 1` or `production`; stands in the title and is never left out. */
  readonly environment: string
  readonly elapsedSeconds: number
  readonly rows: readonly LiveRow[]
  /** Instruments beyond the rows shown. */
  readonly more: number
  readonly totals: {
    readonly eventsPerSecond: number
    readonly events: number
    readonly gaps: number
    readonly deadLetters: number
    /** Null where no conductor runs here. */
    readonly fusedPerSecond: number | null
  }
  readonly latencyUs: { readonly p50: number; readonly p99: number }
  /** The newest log lines, oldest first: on a terminal they stand below the table instead of tearing it. */
  readonly incidents: readonly string[]
  /** Where things are: label and address. */
  readonly places: readonly (readonly [label: string, address: string])[]
}

export interface LiveRow {
  readonly instrument: string
  readonly eventsPerSecond: number
  readonly bid: string
  readonly ask: string
  readonly lastTrade: string
  readonly quality: string
  readonly gaps: number
  /** From the arrival of a frame to its entry, over the last second, as a reader can tell it: to 1 ms. null: nothing came. */
  readonly latencyMs: { readonly p50: number; readonly p99: number } | null
}

const CLEAR = '\u001b[H\u001b[J'
const BOLD = '\u001b[1m'
const DIM = '\u001b[2m'
const RED = '\u001b[31m'
const GREEN = '\u001b[32m'
const OFF = '\u001b[0m'

/** The whole screen for a terminal, redrawn in place. */
export function renderScreen(model: LiveModel): string {
  const columns = ['instrument', 'events/s', 'bid', 'ask', 'last trade', 'quality', 'gaps', 'p50 ms', 'p99 ms']
  const cells = model.rows.map((row) => [
    row.instrument,
    row.eventsPerSecond.toFixed(0),
    row.bid,
    row.ask,
    row.lastTrade,
    row.quality,
    String(row.gaps),
    row.latencyMs?.p50.toFixed(0) ?? '-',
    row.latencyMs?.p99.toFixed(0) ?? '-',
  ])
  const widths = columns.map((column, i) => Math.max(column.length, ...cells.map((cell) => (cell[i] ?? '').length)))
  const left = new Set([0, 5])
  const line = (texts: readonly string[]): string =>
    texts.map((text, i) => (left.has(i) ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))).join('  ')
  const out = [
    `${BOLD}Meltica${OFF}  ${model.environment}  ${DIM}${formatElapsed(model.elapsedSeconds)}${OFF}`,
    '',
    `${DIM}${line(columns)}${OFF}`,
    ...cells.map((cell) => {
      const drawn = line(cell)
      const quality = cell[5] ?? ''
      return quality === '' || quality === '-'
        ? drawn
        : drawn.replace(quality, `${quality === 'LIVE' ? GREEN : RED}${quality}${OFF}`)
    }),
  ]
  if (model.more > 0) out.push(`${DIM}and ${model.more} more instruments${OFF}`)
  out.push('', totalsLine(model), '')
  for (const [label, address] of model.places) out.push(`${DIM}${label.padEnd(8)}${OFF}${address}`)
  if (model.incidents.length > 0)
    out.push('', ...model.incidents.map((incident) => `${DIM}${incident.trimEnd()}${OFF}`))
  return `${CLEAR}${out.join('\n')}\n`
}

/** One plain line a second, for logs and pipes. */
export function renderLine(model: LiveModel): string {
  const best = model.rows
    .slice(0, 3)
    .map((row) => `${row.instrument} ${row.bid}/${row.ask} ${row.quality}`)
    .join(', ')
  return `${formatElapsed(model.elapsedSeconds)} ${model.environment}: ${totalsLine(model)}${best ? `; ${best}` : ''}\n`
}

function totalsLine(model: LiveModel): string {
  const { totals, latencyUs } = model
  return (
    `${totals.eventsPerSecond.toFixed(0)} events/s, ${totals.events} events, ${totals.gaps} gaps, ${totals.deadLetters} dead letters, ` +
    `${totals.fusedPerSecond === null ? '' : `${totals.fusedPerSecond.toFixed(0)} fused/s, `}latency p50 ${formatMs(latencyUs.p50)} p99 ${formatMs(latencyUs.p99)}`
  )
}

function formatMs(us: number): string {
  return `${(us / 1000).toFixed(us < 10_000 ? 2 : 0)} ms`
}

function formatElapsed(seconds: number): string {
  const whole = Math.floor(seconds)
  const two = (n: number): string => String(n).padStart(2, '0')
  return `${two(Math.floor(whole / 3600))}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`
}
