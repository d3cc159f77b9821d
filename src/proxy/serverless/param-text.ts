// Parameters come as JSON and go to Postgres as text; which type a text is read as, Postgres decides.
//
// Arrays become Postgres' own array syntax, so that `= any($1)` works. An object inside an array is one element: its JSON, quoted.

import { isRawNumber } from './exact-json.ts'

/** Undefined and null are NULL. Throws RangeError where arrays are nested without end. */
export function paramText(value: unknown): string | null {
  if (value === null || value === undefined) return null
  if (typeof value === 'string') return value
  return Array.isArray(value) ? arrayText(value) : scalarText(value)
}

function arrayText(values: readonly unknown[]): string {
  const elements = values.map((value) => {
    if (value === null || value === undefined) return 'NULL'
    if (Array.isArray(value)) return arrayText(value)
    if (typeof value === 'string') return quoted(value)
    return isObject(value) ? quoted(scalarText(value)) : scalarText(value)
  })
  return `{${elements.join(',')}}`
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

function scalarText(value: unknown): string {
  // Not by JSON where it is beyond a double: there it would be `null`.
  return typeof value === 'number' ? String(value) : JSON.stringify(value)
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && !isRawNumber(value)
}
