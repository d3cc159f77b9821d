// A column's default as JSON, as far as it can be known without asking: a constant, or of texts and the like the expression itself.

import type { SwaggerType } from './types.ts'

/** Undefined: there is none that could be said. */
export function defaultOf(expression: string | undefined, { type }: SwaggerType): unknown {
  if (expression === undefined) return undefined
  const constant = /^'((?:[^']|'')*)'::/.exec(expression)?.[1]?.replaceAll("''", "'")
  switch (type) {
    case 'array':
      return undefined
    case 'string':
      return constant ?? expression
    case 'boolean':
    case 'integer':
    case 'number':
    case undefined: {
      const value = parsed(constant ?? expression)
      return type === undefined || isOf(type, value) ? value : undefined
    }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** An integer that JSON would round is not the default. */
const isOf = (type: 'boolean' | 'integer' | 'number', value: unknown): boolean =>
  type === 'integer' ? Number.isSafeInteger(value) : typeof value === type
