// Requests that write to a generated schema, and the statements that somebody would write by hand for them.

import fc from 'fast-check'
import { conditions, treeParam, whereOf, type Tree } from './generated-conditions.ts'
import {
  ident,
  keyValue,
  literal,
  sqlType,
  type Column,
  type Schema,
  type Table,
  type Value,
} from './generated-schema.ts'

export type Write =
  | {
      kind: 'insert'
      table: Table
      columns: readonly Column[]
      rows: readonly (readonly Value[])[]
      resolution: 'merge' | 'ignore' | undefined
      isCsv: boolean
    }
  | { kind: 'update'; table: Table; columns: readonly Column[]; values: readonly Value[]; trees: readonly Tree[] }
  | { kind: 'delete'; table: Table; trees: readonly Tree[] }

const none: Value = { literal: null, json: 'null' }

/** Values that are there already, so that references are mostly kept. */
function valueOf(table: Table, column: Column): fc.Arbitrary<Value> {
  const known = table.rows.flatMap((row) => row[table.columns.indexOf(column)] ?? [])
  return fc.oneof(
    { arbitrary: column.values, weight: 2 },
    { arbitrary: fc.constant(none), weight: 1 },
    ...(known.length > 0 ? [{ arbitrary: fc.constantFrom(...known), weight: 3 }] : []),
  )
}

function inserts(table: Table): fc.Arbitrary<Write> {
  const key = table.columns.filter(({ name }) => table.key.includes(name))
  const others = table.columns.filter(({ name }) => !table.key.includes(name))
  return fc.subarray(others).chain((columns) =>
    fc
      .record({
        // The nth key of each of the key's columns: the first ones are there already.
        keys: fc.uniqueArray(fc.array(fc.nat({ max: 7 }), { minLength: key.length, maxLength: key.length }), {
          minLength: 1,
          maxLength: 3,
          selector: String,
        }),
        values: fc.array(fc.tuple(...columns.map((column) => valueOf(table, column))), { minLength: 3, maxLength: 3 }),
        resolution: fc.constantFrom('merge' as const, 'ignore' as const, undefined),
        isCsv: fc.boolean(),
      })
      .map(({ keys, values, resolution, isCsv }): Write => ({
        kind: 'insert',
        table,
        columns: [...key, ...columns],
        rows: keys.map((ns, i) => [...ns.map((n, k) => keyValue(key[k]?.type ?? 'text', n)), ...(values[i] ?? [])]),
        resolution,
        // A text in CSV would be a text in JSON.
        isCsv: isCsv && columns.every(({ type }) => type !== 'jsonb'),
      })),
  )
}

export function writes(table: Table): fc.Arbitrary<Write> {
  const trees = fc.array(conditions(table), { maxLength: 2 })
  const update = fc.subarray([...table.columns], { minLength: 1 }).chain((columns) =>
    fc.record({
      kind: fc.constant('update' as const),
      table: fc.constant(table),
      columns: fc.constant(columns),
      values: fc.tuple(...columns.map((column) => valueOf(table, column))),
      trees,
    }),
  )
  const remove = fc.record({ kind: fc.constant('delete' as const), table: fc.constant(table), trees })
  return fc.oneof(inserts(table), inserts(table), update, remove)
}

export type Sent = { method: string; target: string; headers: Record<string, string>; body: string }

export function requestOf(write: Write): Sent {
  const { table } = write
  const trees = write.kind === 'insert' ? [] : write.trees
  const order = table.key.map((name) => `"${name.replaceAll(/["\\]/g, (sign) => `\\${sign}`)}"`).join(',')
  const params = [...trees.map((tree) => treeParam(tree, '')), ['order', order]]
  const target = `/${encodeURIComponent(table.name)}?${params.map((pair) => pair.map(encodeURIComponent).join('=')).join('&')}`
  const object = (columns: readonly Column[], values: readonly Value[]): string =>
    `{${columns.map(({ name }, i) => `${JSON.stringify(name)}:${values[i]?.json}`).join(',')}}`
  switch (write.kind) {
    case 'insert': {
      const { columns, rows, isCsv, resolution } = write
      const csv = [
        columns.map(({ name }) => csvText(name)),
        ...rows.map((row) => row.map((value) => csvText(value.literal))),
      ]
      return {
        method: 'POST',
        target,
        headers: {
          prefer: `return=representation${resolution === undefined ? '' : `,resolution=${resolution}-duplicates`}`,
          ...(isCsv ? { 'content-type': 'text/csv' } : {}),
        },
        body: isCsv
          ? csv.map((line) => line.join(',')).join('\r\n')
          : `[${rows.map((row) => object(columns, row)).join(',')}]`,
      }
    }
    case 'update':
      return {
        method: 'PATCH',
        target,
        headers: { prefer: 'return=representation' },
        body: object(write.columns, write.values),
      }
    case 'delete':
      return { method: 'DELETE', target, headers: { prefer: 'return=representation' }, body: '' }
  }
}

const csvText = (text: string | null): string => (text === null ? 'NULL' : `"${text.replaceAll('"', '""')}"`)

/** Answers the rows that were written as one JSON text. */
export function statementOf(schema: Schema, write: Write): string {
  const { table } = write
  const at = `${ident(schema.name)}.${ident(table.name)}`
  const typed = (value: Value | undefined, column: Column): string =>
    `${literal(value?.literal ?? null)}::${sqlType(schema.name, column.type)}`
  const made = ((): string => {
    switch (write.kind) {
      case 'insert': {
        const { columns, rows, resolution } = write
        const list = columns.map(({ name }) => ident(name)).join(', ')
        const sets = columns.map(({ name }) => `${ident(name)} = excluded.${ident(name)}`).join(', ')
        const conflict =
          resolution &&
          `on conflict (${table.key.map(ident).join(', ')}) do ${resolution === 'merge' ? `update set ${sets}` : 'nothing'}`
        return `insert into ${at} as t (${list}) values ${rows.map((row) => `(${columns.map((column, i) => typed(row[i], column)).join(', ')})`).join(', ')} ${conflict ?? ''}`
      }
      case 'update':
        return `update ${at} as t set ${write.columns.map((column, i) => `${ident(column.name)} = ${typed(write.values[i], column)}`).join(', ')} where ${whereOf(schema, write.trees)}`
      case 'delete':
        return `delete from ${at} as t where ${whereOf(schema, write.trees)}`
    }
  })()
  return `with w as (${made} returning t.*) select coalesce(jsonb_agg(to_jsonb(w) order by ${table.key.map((name) => `w.${ident(name)}`).join(', ')}), '[]')::text as rows from w`
}

/** Everything that is in it, as one text. */
export const contentsOf = (schema: Schema): string =>
  `select concat_ws(E'\\n', ${schema.tables
    .map(
      ({ name }) =>
        `(select jsonb_agg(to_jsonb(t) order by to_jsonb(t)::text) from ${ident(schema.name)}.${ident(name)} t)`,
    )
    .join(', ')}) as contents`
