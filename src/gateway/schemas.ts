import { z } from 'zod'

/** Pieces that several resources share. Times are integer microseconds since the Unix epoch. */
export const timeUs = z.int().nonnegative().meta({ description: 'Microseconds since the Unix epoch.' })

export const PAGE_LIMIT = { default: 100, max: 500 } as const

/** What the document says of a value in a query is what it means, not that it is text on its way. */
const written =
  (schema: Readonly<Record<string, unknown>>) =>
  ({ jsonSchema }: { jsonSchema: object }): void => {
    const { description } = jsonSchema as { description?: string }
    for (const name of Object.keys(jsonSchema)) delete (jsonSchema as Record<string, unknown>)[name]
    Object.assign(jsonSchema, description === undefined ? {} : { description }, schema)
  }

const digits = /^[0-9]{1,9}$/

/** An integer in a query, which is text on its way. */
export function queryInteger(from: number, to: number, description: string) {
  const error = `an integer from ${from} to ${to}`
  return z
    .string({ error })
    .regex(digits, { error })
    .transform(Number)
    .pipe(z.int({ error }).min(from, { error }).max(to, { error }))
    .meta({ description, override: written({ type: 'integer', minimum: from, maximum: to }) })
}

/** A choice in a query. */
export const queryFlag = (description: string) =>
  z
    .enum(['true', 'false'], { error: 'true or false' })
    .transform((text) => text === 'true')
    .meta({ description, override: written({ type: 'boolean' }) })

export const pageQuery = {
  limit: queryInteger(1, PAGE_LIMIT.max, `Items in one page; ${PAGE_LIMIT.default} where it is not said.`)
    .optional()
    .transform((limit) => limit ?? PAGE_LIMIT.default),
  cursor: z
    .string()
    .min(1, { error: 'the cursor of the page before' })
    .max(1_000, { error: 'the cursor of the page before' })
    .optional()
    .meta({ description: 'As the page before answered it; without one the list begins.' }),
} as const

/** A page of a list; `cursor` leads to the next one and is null where there is none. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.strictObject({
    items: z.array(item),
    cursor: z.string().nullable().meta({ description: 'Give it to read on; null: that was all.' }),
  })

/** A duration such as `2s` or `500ms`; one above the maximum counts as the maximum. */
export function queryDuration(msMax: number, description: string) {
  const pattern = /^[0-9]{1,6}(ms|s)$/
  return z
    .string()
    .regex(pattern, { error: 'a duration as 500ms or 2s' })
    .transform((text) => Math.min(msMax, Number.parseInt(text, 10) * (text.endsWith('ms') ? 1 : 1_000)))
    .meta({
      description: `${description} At most ${msMax} ms; what is longer counts as that.`,
      override: written({ type: 'string', pattern: pattern.source }),
    })
}

const DATE = '(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])'
const CLOCK_TIME = '([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,6})?)?'
const timeText = new RegExp(`^([0-9]{1,15}|[1-8][0-9]{15}|${DATE}T${CLOCK_TIME}Z)$`)

/** A time in a query: microseconds, or ISO 8601 in UTC. */
export function queryTime(description: string) {
  const error = 'microseconds since the Unix epoch, or a time such as 2026-01-31T12:00:00Z'
  return z
    .string({ error })
    .regex(timeText, { error })
    .transform(parseTimeUs)
    .pipe(z.int({ error }).nonnegative({ error }))
    .meta({ description, override: written({ type: 'string', pattern: timeText.source }) })
}

/** NaN for a day that its month does not have. */
function parseTimeUs(text: string): number {
  if (/^[0-9]+$/.test(text)) return Number(text)
  const [whole = '', fraction = ''] = text.slice(0, -1).split('.')
  const date = new Date(`${whole}Z`)
  const isInCalendar = date.toISOString().startsWith(text.slice(0, 'YYYY-MM-DD'.length))
  return isInCalendar ? date.getTime() * 1_000 + Number(fraction.padEnd(6, '0')) : Number.NaN
}

/** Names end in `Us` inside and without it on the wire (DESIGN 4). */
export function withoutUnits(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUnits)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name.replace(/AtUs$/, 'At'), withoutUnits(inner)]),
  )
}
