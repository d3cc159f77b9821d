// `Prefer`: what a client would like. https://docs.postgrest.org/en/v14/references/api/preferences.html

import { DataApiError } from '../errors.ts'

export type Preferences = {
  resolution: 'merge-duplicates' | 'ignore-duplicates' | undefined
  return: 'representation' | 'minimal' | 'headers-only' | undefined
  count: 'exact' | 'planned' | 'estimated' | undefined
  tx: 'commit' | 'rollback' | undefined
  missing: 'default' | 'null' | undefined
  handling: 'strict' | 'lenient' | undefined
  /** As asked for; whether there is such a zone, the schema cache knows. */
  timezone: string | undefined
  maxAffected: number | undefined
  /** What is none of these, in its order: refused where handling is strict. */
  invalid: readonly string[]
}

const choices = {
  resolution: ['merge-duplicates', 'ignore-duplicates'],
  return: ['representation', 'minimal', 'headers-only'],
  count: ['exact', 'planned', 'estimated'],
  tx: ['commit', 'rollback'],
  missing: ['default', 'null'],
  handling: ['strict', 'lenient'],
} as const

/** Several headers, or several in one, as one text with commas. The first of a kind counts. */
export function parsePreferences(header: string | undefined): Preferences {
  const found: Record<string, string> = {}
  const invalid: string[] = []
  for (const piece of (header ?? '').split(',')) {
    const text = piece.trim()
    if (text === '') continue
    const at = text.indexOf('=')
    const [name, value] = at < 0 ? [text, ''] : [text.slice(0, at).trim(), text.slice(at + 1).trim()]
    if (isKnown(name, value)) found[name] ??= value
    else invalid.push(text)
  }
  const chosen = <N extends keyof typeof choices>(name: N): (typeof choices)[N][number] | undefined =>
    found[name] as (typeof choices)[N][number] | undefined
  const most = found['max-affected']
  return {
    resolution: chosen('resolution'),
    return: chosen('return'),
    count: chosen('count'),
    tx: chosen('tx'),
    missing: chosen('missing'),
    handling: chosen('handling'),
    timezone: found['timezone'],
    maxAffected: most === undefined ? undefined : Number(most),
    invalid,
  }
}

function isKnown(name: string, value: string): boolean {
  if (name === 'timezone') return value !== ''
  if (name === 'max-affected') return /^\d{1,15}$/.test(value)
  return Object.hasOwn(choices, name) && (choices[name as keyof typeof choices] as readonly string[]).includes(value)
}

export const invalidPreferences = (all: readonly string[]): DataApiError =>
  new DataApiError({
    code: 'PGRST122',
    message: 'Invalid preferences given with handling=strict',
    details: `Invalid preferences: ${all.join(', ')}`,
  })
