// Schemas that nobody would write, with rows in them: names that have to be quoted everywhere, keys of two columns, tables that refer to themselves,
// to each other one to one and across a third, and a view.

import fc from 'fast-check'

/** A value as Postgres reads it in a literal, and as JSON has it. */
export type Value = { literal: string | null; json: string }
export type Column = { name: string; type: TypeName; values: fc.Arbitrary<Value> }
export type ForeignKey = {
  name: string
  columns: readonly string[]
  to: string
  toColumns: readonly string[]
  isUnique: boolean
}
export type Table = {
  name: string
  columns: readonly Column[]
  key: readonly string[]
  foreignKeys: readonly ForeignKey[]
  rows: readonly (readonly Value[])[]
  /** Of a view: what it shows under the same names. */
  shows: string | undefined
}
export type Schema = { name: string; tables: readonly Table[] }

export const ident = (name: string): string => `"${name.replaceAll('"', '""')}"`
export const literal = (text: string | null): string =>
  text === null ? 'null' : ` E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`

const text = fc
  .oneof(
    fc.string({ maxLength: 6 }),
    fc.string({ maxLength: 4, unit: 'grapheme' }),
    fc.constantFrom(
      '',
      'null',
      'NULL',
      '(a,b)',
      '{a,"b"}',
      '"',
      '\\',
      "it's",
      'a.b',
      '50%',
      '*',
      'a*b',
      'é',
      '  ',
      '-- x',
      '$1',
      'eq.1',
    ),
  )
  .map((each) => each.replaceAll('\0', ''))
const quotedJson = (each: string): Value => ({ literal: each, json: JSON.stringify(each) })
const plain = (each: string): Value => ({ literal: each, json: each })
const arrayText = (all: readonly string[]): string =>
  `{${all.map((each) => `"${each.replaceAll(/["\\]/g, (sign) => `\\${sign}`)}"`).join(',')}}`

const types = {
  integer: fc.integer({ min: -5, max: 5 }).map((each) => plain(String(each))),
  bigint: fc
    .oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.bigInt({ min: -2n, max: 2n }))
    .map((each) => plain(String(each))),
  numeric: fc.tuple(fc.integer({ min: -99, max: 99 }), fc.nat({ max: 999 })).map(([a, b]) => plain(`${a}.${b}`)),
  text: text.map(quotedJson),
  boolean: fc.boolean().map((each) => plain(String(each))),
  jsonb: fc
    .oneof(
      fc.record(
        { a: fc.oneof(fc.integer(), text, fc.constant(null)), 'k k': fc.array(text, { maxLength: 2 }) },
        { requiredKeys: [] },
      ),
      fc.array(fc.oneof(fc.boolean(), text), { maxLength: 3 }),
      text,
      fc.integer(),
    )
    .map((each) => plain(JSON.stringify(each))),
  'timestamp with time zone': fc
    .date({ min: new Date('1900-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
    .map((each) => quotedJson(each.toISOString())),
  'text[]': fc.array(text, { maxLength: 3 }).map((all) => ({ literal: arrayText(all), json: JSON.stringify(all) })),
  uuid: fc.uuid().map(quotedJson),
  // In the schema itself, under a name that has to be quoted.
  enum: fc.constantFrom('low', 'High one', "it's").map(quotedJson),
} satisfies Record<string, fc.Arbitrary<Value>>
export type TypeName = keyof typeof types
export const enumName = 'My "Enum"'
export const sqlType = (schema: string, type: TypeName): string =>
  type === 'enum' ? `${ident(schema)}.${ident(enumName)}` : type

const none: Value = { literal: null, json: 'null' }

const words = [
  'id', 'name', 'Upper Case', 'a.b', 'q"uote', '日本', 'é', "it's", 'sel,ect', 'x:y', 'a->b', '(p)', 'order', 'select', 'and', 'or', 'not',
  'limit', 'columns', '100%', 'a&b=c', 'back\\slash', '$1', 'a!b', '...x', 'count', 'inner', ' padded ', 'tab\there', 'on_conflict',
  '_postgrest_t', 'pgrst_source', 'null', 'a/b', 'a?b', '#', 'x'.repeat(63), `${'y'.repeat(55)}ü`,
] // prettier-ignore
const names = (length: number): fc.Arbitrary<string[]> =>
  fc.uniqueArray(fc.constantFrom(...words), { minLength: length, maxLength: length })

const column = (name: string): fc.Arbitrary<Column> =>
  fc.constantFrom(...(Object.keys(types) as TypeName[])).map((type) => ({ name, type, values: types[type] }))

const keyTypes = ['integer', 'text', 'uuid'] as const
/** The nth key: never the same twice. */
export function keyValue(type: TypeName, n: number): Value {
  if (type === 'integer') return plain(String(n * 3 - 4))
  if (type === 'uuid') return quotedJson(`00000000-0000-4000-8000-00000000000${n}`)
  return quotedJson(['a', 'B"', 'c,d', '(e)', "f'", 'ü.', '{g}', '*'][n] ?? `k${n}`)
}

const mostRows = 5
const fillers = { minLength: mostRows, maxLength: mostRows }

/** A table whose first columns are its key; it refers to some of those before it, and maybe to itself. */
function table(name: string, index: number, before: readonly Table[]): fc.Arbitrary<Table> {
  return fc
    .record({
      columnNames: names(12),
      keyTypes: fc.array(fc.constantFrom(...keyTypes), { minLength: 1, maxLength: 2 }),
      own: fc.integer({ min: 1, max: 4 }),
      parents: fc.subarray([...before], { maxLength: Math.min(2, before.length) }),
      isSelf: fc.boolean(),
      isOneToOne: fc.boolean(),
      rows: fc.oneof(fc.nat({ max: mostRows }), fc.constant(mostRows)),
      picks: fc.array(fc.array(fc.nat({ max: 11 }), { minLength: 3, maxLength: 3 }), fillers),
    })
    .chain(({ columnNames, keyTypes: chosen, own, parents, isSelf, isOneToOne, rows, picks }) => {
      const free = [...columnNames]
      const take = (): string => free.shift() ?? 'never'
      const [first] = parents
      const isPart = isOneToOne && first !== undefined
      const keyOf = (of: Table): Column[] => of.columns.filter((each) => of.key.includes(each.name))
      const key = isPart
        ? keyOf(first).map(({ type, values }): Column => ({ name: take(), type, values }))
        : chosen.map((type): Column => ({ name: take(), type, values: types[type] }))
      const keyNames = key.map((each) => each.name)
      const foreignKeys: ForeignKey[] = []
      const referring: Column[] = []
      const refer = (to: string, toKey: readonly Column[], columns: readonly string[], isUnique: boolean): void => {
        const toColumns = toKey.map((each) => each.name)
        foreignKeys.push({ name: `fk ${index}.${foreignKeys.length} "to"`, columns, to, toColumns, isUnique })
      }
      const referNew = (to: string, toKey: readonly Column[]): void => {
        const made = toKey.map(({ type, values }): Column => ({ name: take(), type, values }))
        referring.push(...made)
        refer(
          to,
          toKey,
          made.map((each) => each.name),
          false,
        )
      }
      parents.forEach((parent, i) => {
        if (isPart && i === 0) refer(parent.name, keyOf(parent), keyNames, true)
        else referNew(parent.name, keyOf(parent))
      })
      if (isSelf) referNew(name, key)
      return fc.tuple(...Array.from({ length: own }, () => column(take()))).chain((others) => {
        const columns = [...key, ...referring, ...others]
        return fc
          .array(fc.tuple(...others.map(({ values }) => fc.option(values, { nil: none, freq: 4 }))), fillers)
          .map((filled): Table => {
            const made: Value[][] = []
            for (let n = 0; n < (isPart ? Math.min(rows, first.rows.length) : rows); n++) {
              const keyValues = isPart ? keyIn(first, n) : key.map((each) => keyValue(each.type, n))
              const references = foreignKeys.slice(isPart ? 1 : 0).flatMap((foreign, i) => {
                const target =
                  foreign.to === name ? made.map((row) => row.slice(0, key.length)) : keysIn(before, foreign.to)
                // One more than there are: none.
                return target[(picks[n]?.[i] ?? 0) % (target.length + 1)] ?? foreign.columns.map(() => none)
              })
              made.push([...keyValues, ...references, ...(filled[n] ?? [])])
            }
            return { name, columns, key: keyNames, foreignKeys, rows: made, shows: undefined }
          })
      })
    })
}

const keyIn = (of: Table, n: number): Value[] =>
  of.columns.flatMap((each, i) => (of.key.includes(each.name) ? [of.rows[n]?.[i] ?? none] : []))
const keysIn = (all: readonly Table[], name: string): Value[][] => {
  const of = all.find((each) => each.name === name)
  return of ? of.rows.map((_, n) => keyIn(of, n)) : []
}

/** Between two tables, or a table and itself: its key is both of theirs. */
function junction(name: string, [one, other]: readonly [Table, Table]): fc.Arbitrary<Table> {
  const part = (of: Table, side: string): Column[] =>
    of.columns.filter((each) => of.key.includes(each.name)).map((each, i) => ({ ...each, name: `${side}.${i}` }))
  const [left, right] = [part(one, 'left'), part(other, 'Right')]
  const foreign = (of: Table, columns: readonly Column[], n: number): ForeignKey => ({
    name: `join ${n}`,
    columns: columns.map((each) => each.name),
    to: of.name,
    toColumns: of.columns.filter((each) => of.key.includes(each.name)).map((each) => each.name),
    isUnique: false,
  })
  const pairs = one.rows.flatMap((_, a) => other.rows.map((__, b) => [...keyIn(one, a), ...keyIn(other, b)]))
  return fc.subarray(pairs).map((rows): Table => ({
    name,
    columns: [...left, ...right],
    key: [...left, ...right].map((each) => each.name),
    foreignKeys: [foreign(one, left, 1), foreign(other, right, 2)],
    rows,
    shows: undefined,
  }))
}

export const schemas: fc.Arbitrary<Schema> = names(6).chain(
  ([first = '', second = '', third = '', between = '', view = '', name = '']) =>
    table(first, 0, []).chain((a) =>
      table(second, 1, [a]).chain((b) =>
        fc
          .tuple(
            fc.option(table(third, 2, [a, b]), { nil: undefined }),
            fc.option(junction(between, [a, b]), { nil: undefined }),
            fc.boolean(),
          )
          .map(([c, joined, hasView]) => ({
            name,
            tables: [
              a,
              b,
              ...(c ? [c] : []),
              ...(joined ? [joined] : []),
              ...(hasView ? [{ ...b, name: view, shows: b.name }] : []),
            ],
          })),
      ),
    ),
)

export function schemaSql({ name, tables }: Schema): string {
  const at = (each: string): string => `${ident(name)}.${ident(each)}`
  const list = (all: readonly string[]): string => all.map(ident).join(', ')
  const made = tables.map(({ name: of, columns, key, foreignKeys, rows, shows }) => {
    if (shows !== undefined) return `create view ${at(of)} as select * from ${at(shows)};`
    const constraints = foreignKeys.map(
      (each) =>
        `constraint ${ident(each.name)} foreign key (${list(each.columns)}) references ${at(each.to)} (${list(each.toColumns)})`,
    )
    const parts = [
      ...columns.map((each) => `${ident(each.name)} ${sqlType(name, each.type)}`),
      `primary key (${list(key)})`,
      ...constraints,
    ]
    const inserts = rows.map(
      (row) => `insert into ${at(of)} values (${row.map((each) => literal(each.literal)).join(', ')});`,
    )
    return `create table ${at(of)} (${parts.join(', ')});\n${inserts.join('\n')}`
  })
  return `create schema ${ident(name)};
    create type ${ident(name)}.${ident(enumName)} as enum ('low', 'High one', 'it''s');
    ${made.join('\n')}
    grant usage on schema ${ident(name)} to anonymous; grant all on all tables in schema ${ident(name)} to anonymous;`
}
