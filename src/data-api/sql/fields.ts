// Columns, paths into them, and casts.

import type { PlannedField } from '../plan/plan.ts'
import { ident, join, param, qualified, raw, sql, type Snippet } from './snippet.ts'

/** `of`: the alias that it is a column of. */
export function fieldExpression(of: string, field: PlannedField): Snippet {
  const column = sql`${ident(of)}.${ident(field.name)}`
  if (field.path.length === 0) return field.transform ? sql`${qualified(field.transform)}(${column})` : column
  const steps = field.path.map(
    ({ arrow, operand }) =>
      // Their types are said: an arrow takes either.
      sql`${raw(arrow)} ${operand.kind === 'index' ? sql`${param(String(operand.index))}::integer` : sql`${param(operand.key)}::text`}`,
  )
  const base = field.needsToJsonb ? sql`to_jsonb(${column})` : column
  return sql`${base} ${join(steps, ' ')}`
}

/** The grammar lets only letters, digits, blanks, `_` and `$` through; a name that needs more than that is none. */
export function castTo(expression: Snippet, type: string): Snippet {
  if (!/^[\p{L}\p{Nd}_$ ]+$/u.test(type)) throw new Error('the grammar lets no such type through')
  return sql`CAST(${expression} AS ${raw(type)})`
}
