// What databases hold, as plain values: changed by the same statements that Postgres gets, and compared with what Postgres says it holds.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { changed, connect, type Session } from '../support/postgres.ts'
import type { Random } from './random.ts'

type Row = { id: number } & Record<string, number | string | null>
type Table = { columns: string[]; rows: Map<number, Row> }
type Database = { tables: Map<string, Table>; sequences: Map<string, number> }
/** By database. */
export type State = Map<string, Database>

export const firstDatabase = 'neondb'
export const newDatabase = (): Database => ({ tables: new Map(), sequences: new Map() })
export const initialState = (): State => new Map([[firstDatabase, newDatabase()]])

/** Done to the model with what Postgres answered, once Postgres has done it. */
type Statement = { sql: string; apply(rows: Record<string, unknown>[]): void }

const mostTables = 4
const mostRows = 60
/**
 * Postgres logs 32 values of a sequence ahead, and after a crash goes on behind them. Another lead is lost where a transaction that is not in
 * had begun it, and with it the values that it took.
 */
const sequenceLead = 3 * 32

const md5 = (text: string): string => createHash('md5').update(text).digest('hex')

/** One that Postgres takes in this state of the database. `fresh` gives a number that no name has yet. */
export function randomStatement(random: Random, database: Database, fresh: () => number): Statement {
  const tableName = random.pick([...database.tables.keys()])
  const table = tableName === undefined ? undefined : database.tables.get(tableName)
  if (tableName === undefined || table === undefined || (database.tables.size < mostTables && random.chance(0.04))) {
    const name = `t${fresh()}`
    return {
      sql: `create table ${name} (id integer primary key, n integer, note text)`,
      apply: () => void database.tables.set(name, { columns: ['id', 'n', 'note'], rows: new Map() }),
    }
  }
  const divisor = 2 + random.below(6)
  const remainder = random.below(divisor)
  const hit = ({ id }: Row): boolean => id % divisor === remainder
  const where = `where id % ${divisor} = ${remainder}`
  const kind = random.weighted([
    [table.rows.size > mostRows ? 0 : 40, 'insert'],
    [22, 'update'],
    [table.rows.size > mostRows ? 30 : 10, 'delete'],
    [9, 'nextval'],
    [3, 'add column'],
    [3, 'truncate'],
    [3, 'drop'],
    [3, 'rename'],
    [2, 'index'],
    [4, 'log'],
  ] as const)
  switch (kind) {
    case 'insert': {
      const first = Math.max(0, ...table.rows.keys()) + 1
      const rows = Array.from({ length: 1 + random.below(6) }, (_, at) => {
        const note = random.text(random.chance(0.08) ? 2500 + random.below(12_000) : random.below(60))
        return { id: first + at, n: random.below(1000), note }
      })
      const values = rows.map(({ id, n, note }) => `(${id}, ${n}, '${note}')`)
      return {
        sql: `insert into ${tableName} (id, n, note) values ${values.join(', ')}`,
        apply() {
          for (const { id, n, note } of rows) {
            const added = table.columns.slice(3).map((column) => [column, Number(column.slice(1))] as const)
            table.rows.set(id, { id, n, note: md5(note), ...Object.fromEntries(added) })
          }
        },
      }
    }
    case 'update': {
      const by = 1 + random.below(9)
      return {
        sql: `update ${tableName} set n = n + ${by} ${where}`,
        apply() {
          for (const row of table.rows.values()) {
            if (hit(row)) table.rows.set(row.id, { ...row, n: Number(row['n']) + by })
          }
        },
      }
    }
    case 'delete':
      return {
        sql: `delete from ${tableName} ${where}`,
        apply() {
          for (const row of table.rows.values()) if (hit(row)) table.rows.delete(row.id)
        },
      }
    case 'nextval': {
      const known = random.pick([...database.sequences.keys()])
      const name = known ?? `s${fresh()}`
      const take = `select nextval('${name}')::integer as value`
      return {
        sql: known === undefined ? `create sequence ${name}; ${take}` : take,
        apply: ([row]) => void database.sequences.set(name, Number(row?.['value'])),
      }
    }
    case 'add column': {
      const value = fresh()
      return {
        sql: `alter table ${tableName} add column c${value} integer default ${value}`,
        apply() {
          table.columns.push(`c${value}`)
          for (const row of table.rows.values()) table.rows.set(row.id, { ...row, [`c${value}`]: value })
        },
      }
    }
    case 'truncate':
      return { sql: `truncate ${tableName}`, apply: () => table.rows.clear() }
    case 'drop':
      return { sql: `drop table ${tableName}`, apply: () => void database.tables.delete(tableName) }
    case 'rename': {
      const name = `t${fresh()}`
      return {
        sql: `alter table ${tableName} rename to ${name}`,
        apply() {
          database.tables.delete(tableName)
          database.tables.set(name, table)
        },
      }
    }
    case 'index':
      return { sql: `create index on ${tableName} (n)`, apply: () => {} }
    case 'log':
      // Records that reach over many pages, and more log than a branch of the head replays gladly.
      return {
        sql: `select count(pg_logical_emit_message(false, 'model', repeat(g::text, ${400_000 + random.below(1_200_000)}))) from generate_series(1, ${1 + random.below(6)}) g`,
        apply: () => {},
      }
  }
}

/** What Postgres holds must be what the model holds. Sequences may be ahead by what a crash skips. */
export async function assertHolds(uri: string, state: State, what: string): Promise<void> {
  const wrong = await difference(uri, state)
  if (wrong) assert.deepEqual(wrong.found, wrong.expected, what)
}

export async function holds(uri: string, state: State): Promise<boolean> {
  return (await difference(uri, state)) === undefined
}

/** Rows and indexes of every table agree, page by page. */
export async function assertSound(uri: string, state: State): Promise<void> {
  for (const database of state.keys()) {
    await using session = await connect(changed(uri, { database }))
    await session.query('create extension if not exists amcheck')
    await session.query(
      `select bt_index_check(i.indexrelid, true) from pg_index i join pg_class c on c.oid = i.indexrelid
         join pg_am a on a.oid = c.relam where a.amname = 'btree' and c.relpersistence = 'p' and i.indisvalid`,
    )
    const broken = await session.query(
      `select c.relname, v.* from pg_class c, verify_heapam(c.oid) v where c.relkind in ('r', 't') and c.relpersistence = 'p'`,
    )
    assert.deepEqual(broken, [])
  }
}

async function difference(uri: string, state: State): Promise<{ found: unknown; expected: unknown } | undefined> {
  const found: Record<string, unknown> = {}
  const expected: Record<string, unknown> = {}
  for (const [name, database] of state) expected[name] = plain(database)
  await using first = await connect(uri)
  const names = await first.query<{ name: string }>(
    `select datname as name from pg_database where not datistemplate and datname <> 'postgres' order by 1`,
  )
  for (const { name } of names) {
    const database = state.get(name)
    if (name === firstDatabase) found[name] = await observed(first, database)
    else {
      await using session = await connect(changed(uri, { database: name }))
      found[name] = await observed(session, database)
    }
  }
  try {
    assert.deepEqual(found, expected)
    return undefined
  } catch {
    return { found, expected }
  }
}

const byName = <T>(entries: Iterable<readonly [string, T]>): Record<string, T> =>
  Object.fromEntries([...entries].toSorted(([a], [b]) => (a < b ? -1 : 1)))

function plain(database: Database): unknown {
  const tables = [...database.tables].map(([name, { columns, rows }]) => {
    const ordered = [...rows.values()].toSorted((a, b) => a.id - b.id)
    return [name, { columns, rows: ordered }] as const
  })
  return { tables: byName(tables), sequences: byName(database.sequences) }
}

async function observed(session: Session, database: Database | undefined): Promise<unknown> {
  const relations = await session.query<{ name: string; kind: string; columns: string[] }>(
    `select c.relname as name, c.relkind::text as kind,
            array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum) as columns
       from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'S')`,
  )
  const parts = relations.map(({ name, kind }) =>
    kind === 'S'
      ? `select '${name}' as name, to_jsonb(last_value::integer) as content from ${name}`
      : `select '${name}' as name, coalesce(jsonb_agg(to_jsonb(t) || jsonb_build_object('note', md5(note)) order by id), '[]') as content from ${name} t`,
  )
  const rows =
    parts.length === 0 ? [] : await session.query<{ name: string; content: unknown }>(parts.join(' union all '))
  const contents = new Map(rows.map(({ name, content }) => [name, content]))
  const tables: [string, unknown][] = []
  const sequences: [string, number][] = []
  for (const { name, kind, columns } of relations) {
    if (kind === 'r') tables.push([name, { columns, rows: contents.get(name) }])
    else {
      const value = Number(contents.get(name))
      const known = database?.sequences.get(name) ?? Number.NaN
      sequences.push([name, value >= known && value <= known + sequenceLead ? known : value])
    }
  }
  return { tables: byName(tables), sequences: byName(sequences) }
}
