// Columns, paths into them, and casts.

import type { PlannedField } from '../plan/plan.ts'
import { typePattern } from '../request/names.ts'
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

const type = new RegExp(`^(?:${typePattern})$`, 'u')

/** The only text of a request that is part of a statement: the grammar lets nothing through but words. */
export function castTo(expression: Snippet, name: string): Snippet {
  if (!type.test(name)) throw new Error('the grammar lets no such type through')
  return sql`CAST(${expression} AS ${raw(name)})`
}
