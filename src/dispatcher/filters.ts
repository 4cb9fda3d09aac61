import { compareDecimal, isDecimal } from '../domain/decimal.ts'
import type { CanonicalType } from '../domain/event.ts'
import type { Instrument, Market } from '../domain/instrument.ts'
import { UsageError } from '../errors.ts'

/** One rule on the canonical event; `path` is dotted, for example `data.price` or `data.bids.0.0`. */
export interface FilterRule {
  readonly path: string
  readonly op: 'eq' | 'neq' | 'in' | 'prefix' | 'exists' | 'gt' | 'lt'
  /** `in`: a list. `exists`: true or false (true when absent). Else one value. */
  readonly value?: string | number | boolean | readonly (string | number | boolean)[]
}

/** The canonical event as filters see it: `data` is the parsed payload. */
export interface FilteredEvent {
  readonly type: CanonicalType
  readonly market: Market
  readonly instrument: Instrument
  readonly data: unknown
}

export type Filter = (event: FilteredEvent) => boolean

/**
 * All rules must hold. Values that are both decimals are compared as decimals, whatever their digits (`"1.50"` equals
 * `1.5`), everything else as text. What a path does not find satisfies `neq` and `exists: false` and nothing else.
 *
 * Throws: UsageError if a value does not fit its operator.
 */
export function compileFilter(rules: readonly FilterRule[]): Filter | null {
  if (rules.length === 0) return null
  const tests = rules.map(compileRule)
  return (event) => {
    for (const test of tests) if (!test(event)) return false
    return true
  }
}

/** Whether the rule looks at what changes from event to event, so that it can let some of a channel's events through. */
export function looksAtData(rule: FilterRule): boolean {
  return rule.path === 'data' || rule.path.startsWith('data.')
}

function compileRule(rule: FilterRule): Filter {
  const path = rule.path.split('.')
  if (path.some((part) => part === '')) {
    throw new UsageError(`a filter's path is names joined by dots, found "${rule.path}"`)
  }
  if (rule.op === 'exists') {
    const wanted = rule.value !== false
    return (event) => (read(event, path) !== undefined) === wanted
  }
  if (rule.op === 'in') {
    if (!Array.isArray(rule.value)) throw new UsageError(`filter ${rule.path}: "in" expects a list of values`)
    const values = rule.value.map(String)
    return (event) => {
      const found = textAt(event, path)
      return found !== undefined && values.some((value) => sameText(found, value))
    }
  }
  if (rule.value === undefined || typeof rule.value === 'object') {
    throw new UsageError(`filter ${rule.path}: "${rule.op}" expects one value`)
  }
  return compileComparison(path, rule.op, String(rule.value))
}

function compileComparison(path: readonly string[], op: 'eq' | 'neq' | 'prefix' | 'gt' | 'lt', value: string): Filter {
  switch (op) {
    case 'eq':
      return (event) => {
        const found = textAt(event, path)
        return found !== undefined && sameText(found, value)
      }
    case 'neq':
      return (event) => {
        const found = textAt(event, path)
        return found === undefined || !sameText(found, value)
      }
    case 'prefix':
      return (event) => textAt(event, path)?.startsWith(value) ?? false
    case 'gt':
      return (event) => {
        const found = textAt(event, path)
        return found !== undefined && compareText(found, value) > 0
      }
    case 'lt':
      return (event) => {
        const found = textAt(event, path)
        return found !== undefined && compareText(found, value) < 0
      }
  }
}

function read(event: FilteredEvent, path: readonly string[]): unknown {
  let value: unknown = event
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

function textAt(event: FilteredEvent, path: readonly string[]): string | undefined {
  const value = read(event, path)
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

function sameText(left: string, right: string): boolean {
  return left === right || (isDecimal(left) && isDecimal(right) && compareDecimal(left, right) === 0)
}

function compareText(left: string, right: string): number {
  if (isDecimal(left) && isDecimal(right)) return compareDecimal(left, right)
  return left < right ? -1 : left > right ? 1 : 0
}
