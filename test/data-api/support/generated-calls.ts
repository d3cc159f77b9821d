// Calls of functions that say what they were given: one for each table, with a parameter for each of its columns, called with one of its rows.

import fc from 'fast-check'
import { ident, literal, sqlType, type Schema, type Table, type Value } from './generated-schema.ts'

type Argument = { name: string; value: Value }
export type Call = {
  function: string
  method: 'GET' | 'POST'
  arguments: readonly Argument[]
  isForm: boolean
  others: readonly string[]
}

const functionOf = ({ name }: Table): string => `say ${name}`.slice(0, 40)

/** All but the key may be left out. */
export function functionsSql(schema: Schema): string {
  return schema.tables
    .map((table) => {
      const parameters = table.columns.map(
        ({ name, type }) =>
          `${ident(name)} ${sqlType(schema.name, type)}${table.key.includes(name) ? '' : ' default null'}`,
      )
      const said = table.columns.map(({ name }, i) => `(${literal(name)}::text, to_jsonb($${i + 1}))`)
      return `create function ${ident(schema.name)}.${ident(functionOf(table))}(${parameters.join(', ')}) returns jsonb language sql as
        $said$ select jsonb_object_agg(k, v) from (values ${said.join(', ')}) as pair(k, v) $said$;`
    })
    .join('\n')
}

/** In a query these say something else, and so does a value that begins like a condition. */
const meansMore = ({ name, value }: Argument): boolean =>
  /\.|^(select|columns|on_conflict|order|limit|offset|and|or)$/.test(name) ||
  value.literal === null ||
  /^(not\.)?\w+(\(\w+\))?\./.test(value.literal)

export function calls(table: Table): fc.Arbitrary<Call> {
  const values =
    table.rows.length > 0 ? fc.constantFrom(...table.rows) : fc.tuple(...table.columns.map((each) => each.values))
  return fc
    .record({ row: values, some: fc.subarray([...table.columns]), how: fc.constantFrom('GET', 'JSON', 'form') })
    .map(({ row, some, how }) => {
      const all = table.columns.map(({ name }, i): Argument => ({ name, value: row[i] as Value }))
      const wanted = all.filter(({ name }) => table.key.includes(name) || some.some((each) => each.name === name))
      const isPlain = how === 'form' ? wanted.every(({ value }) => value.literal !== null) : !wanted.some(meansMore)
      const chosen = how !== 'JSON' && !isPlain ? 'JSON' : how
      return {
        function: functionOf(table),
        method: chosen === 'GET' ? 'GET' : 'POST',
        arguments: wanted,
        isForm: chosen === 'form',
        others: all.filter((each) => !wanted.includes(each)).map(({ name }) => name),
      }
    })
}

export function requestOfCall({ function: name, method, arguments: given, isForm }: Call): {
  target: string
  headers: Record<string, string>
  body: string
} {
  const target = `/rpc/${encodeURIComponent(name)}`
  const pairs = given
    .map((each) => `${encodeURIComponent(each.name)}=${encodeURIComponent(each.value.literal ?? '')}`)
    .join('&')
  if (method === 'GET') return { target: `${target}?${pairs}`, headers: {}, body: '' }
  if (isForm) return { target, headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: pairs }
  const body = `{${given.map((each) => `${JSON.stringify(each.name)}:${each.value.json}`).join(',')}}`
  return { target, headers: { 'content-type': 'application/json' }, body }
}

/** What it says then: each value as its type reads it. */
export function statementOfCall(schema: Schema, table: Table, { arguments: given, others }: Call): string {
  const pairs = given.map(({ name, value }) => {
    const type = sqlType(schema.name, table.columns.find((each) => each.name === name)?.type ?? 'text')
    return `(${literal(name)}::text, to_jsonb(${literal(value.literal)}::${type}))`
  })
  const nulls = others.map((name) => `(${literal(name)}::text, null::jsonb)`)
  return `select jsonb_object_agg(k, v)::text as rows from (values ${[...pairs, ...nulls].join(', ')}) as pair(k, v)`
}
