// A call, as the source of what is answered. The function is executed once, whatever is made of its rows.

import type { CallPlan } from '../plan/plan.ts'
import { arrayLiteral } from './array-literal.ts'
import { empty, ident, join, param, qualified, raw, sql, type Snippet } from './snippet.ts'

export const scalarColumn = 'pgrst_scalar'

export const isScalar = ({ function: { returns } }: CallPlan): boolean =>
  returns.kind === 'void' || returns.of.kind === 'scalar'

export function callQuery(plan: CallPlan): Snippet {
  const { given, list } = argumentsOf(plan)
  const call = sql`${qualified(plan.function)}(${list})`
  const as = isScalar(plan) ? sql`pgrst_call(${ident(scalarColumn)})` : sql`pgrst_call`
  return sql`SELECT pgrst_call.* FROM ${given}${call} AS ${as}`
}

function argumentsOf({ arguments: from, function: called }: CallPlan): { given: Snippet; list: Snippet } {
  switch (from.kind) {
    case 'none':
      return { given: empty, list: empty }
    case 'raw': {
      const text =
        typeof from.body === 'string'
          ? from.body
          : from.type === 'bytea'
            ? `\\x${from.body.toString('hex')}`
            : from.body.toString('utf8')
      return { given: empty, list: sql`${param(text)}::${raw(from.type)}` }
    }
    case 'literals': {
      const list = from.values.map(({ parameter, values }) =>
        parameter.isVariadic
          ? sql`VARIADIC ${ident(parameter.name)} := ${param(arrayLiteral(values))}::${raw(parameter.typeMaxLength)}`
          : sql`${ident(parameter.name)} := ${param(values.at(-1) ?? '')}::${raw(parameter.typeMaxLength)}`,
      )
      return { given: empty, list: join(list, ', ') }
    }
    case 'json': {
      const types = from.parameters.map(({ name, typeMaxLength }) => sql`${ident(name)} ${raw(typeMaxLength)}`)
      const given = sql`json_to_record(${param(from.payload)}::json) AS pgrst_args(${join(types, ', ')}), LATERAL `
      const list = from.parameters.map(
        ({ name, isVariadic }) => sql`${raw(isVariadic ? 'VARIADIC ' : '')}${ident(name)} := pgrst_args.${ident(name)}`,
      )
      return { given: called.parameters.length === 0 ? empty : given, list: join(list, ', ') }
    }
  }
}
