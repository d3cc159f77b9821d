import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isDataApiError } from '../errors.ts'
import { parseJsPath, followJsPath } from '../../lib/js-path.ts'
import { parseAccept } from './media-type.ts'
import { parseOrder } from './order.ts'
import { parseRequest } from './parse-request.ts'
import { parseQuery } from './query-params.ts'
import { parseSelect } from './select.ts'
import type { Field, SelectItem } from './syntax.ts'

const name = fc.oneof(
  fc.stringMatching(/^[a-z_][a-z0-9_]{0,8}$/),
  fc.string({ minLength: 1, maxLength: 8, unit: 'grapheme' }),
)
const field: fc.Arbitrary<Field> = fc.record({
  name,
  path: fc.array(
    fc.record({
      arrow: fc.constant<'->'>('->'),
      operand: fc.oneof(
        fc.record({ kind: fc.constant<'key'>('key'), key: name.filter((key) => !/^-?\d+$/.test(key)) }),
        fc.record({ kind: fc.constant<'index'>('index'), index: fc.integer({ min: -99, max: 99 }) }),
      ),
    }),
    { maxLength: 3 },
  ),
})
const { item } = fc.letrec<{ item: SelectItem }>((tie) => ({
  item: fc.oneof(
    { maxDepth: 3 },
    fc.record({
      kind: fc.constant<'field'>('field'),
      field,
      cast: fc.option(fc.constantFrom('text', 'double precision'), { nil: undefined }),
      aggregate: fc.option(fc.constant({ function: 'sum' as const, cast: undefined }), { nil: undefined }),
      alias: fc.option(name, { nil: undefined }),
    }),
    fc
      .record({
        kind: fc.constant<'relation'>('relation'),
        isSpread: fc.boolean(),
        relation: name,
        alias: fc.option(name, { nil: undefined }),
        hint: fc.option(name, { nil: undefined }),
        join: fc.option(fc.constantFrom<'inner' | 'left'>('inner', 'left'), { nil: undefined }),
        children: fc.array(tie('item'), { maxLength: 3 }),
      })
      .map((relation) => (relation.isSpread ? { ...relation, alias: undefined } : relation)),
  ),
}))

const quote = (text: string): string => `"${text.replaceAll(/["\\]/g, (sign) => `\\${sign}`)}"`
const fieldText = ({ name: of, path }: Field): string =>
  quote(of) + path.map(({ operand }) => `->${operand.kind === 'key' ? quote(operand.key) : operand.index}`).join('')
function textOf(each: SelectItem): string {
  const alias = each.alias === undefined ? '' : `${quote(each.alias)}:`
  if (each.kind === 'field') {
    const cast = each.cast === undefined ? '' : `::${each.cast}`
    return alias + fieldText(each.field) + cast + (each.aggregate ? '.sum()' : '')
  }
  const hint = each.hint === undefined ? '' : `!${quote(each.hint)}`
  const join = each.join === undefined ? '' : `!${each.join}`
  const spread = each.isSpread ? '...' : ''
  return `${spread}${alias}${quote(each.relation)}${hint}${join}(${each.children.map(textOf).join(',')})`
}

test('what a selection says comes back from its text', () => {
  fc.assert(
    fc.property(fc.array(item, { minLength: 1, maxLength: 4 }), (items) => {
      assert.deepEqual(plain(parseSelect(items.map(textOf).join(','))), plain(items))
    }),
    { numRuns: 300 },
  )
})

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

test('whatever is sent, it is understood or refused', () => {
  const pieces = fc.constantFrom(
    'a',
    'eq.',
    'in.(',
    ')',
    '(',
    ',',
    '.',
    '->',
    '->>',
    '"',
    '\\',
    '::',
    '!',
    '...',
    'and',
    'not.',
    '*',
    ':',
    ' ',
    '{',
    '}',
    '1',
    '%',
    '&',
    '=',
    'é',
    '\u0000',
  )
  const messy = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.array(pieces, { maxLength: 30 }).map((all) => all.join('')),
  )
  fc.assert(
    fc.property(
      messy,
      messy,
      fc.constantFrom('select', 'order', 'and', 'x.or', 'columns', 'limit', 'a.b'),
      (key, value, known) => {
        for (const query of [
          `${known}=${encodeURIComponent(value)}`,
          `${encodeURIComponent(key)}=${encodeURIComponent(value)}`,
          `${key}=${value}`,
        ]) {
          try {
            parseQuery(query, true)
            parseQuery(query, false)
          } catch (error) {
            assert.ok(isDataApiError(error), String(error))
            assert.ok(error.status >= 400 && error.status < 500)
          }
        }
      },
    ),
    { numRuns: 500 },
  )
})

// What is quadratic in its length does not end here before the test run gives up.
test('what is long is understood or refused as well', () => {
  for (const text of [
    '('.repeat(100_000),
    '"'.repeat(99_999),
    'a.'.repeat(50_000),
    'not.'.repeat(30_000),
    ' '.repeat(100_000),
  ]) {
    for (const key of ['select', 'order', 'and', 'a', 'columns']) {
      try {
        parseQuery(`${key}=${text}`, false)
      } catch (error) {
        assert.ok(isDataApiError(error))
      }
    }
  }
})

test('words that are names', () => {
  const relation = {
    kind: 'relation',
    isSpread: false,
    alias: undefined,
    hint: undefined,
    join: undefined,
    children: [],
  }
  assert.deepEqual(parseSelect('a!"inner"!inner()'), [{ ...relation, relation: 'a', hint: 'inner', join: 'inner' }])
  assert.deepEqual(parseSelect('count!a()'), [{ ...relation, relation: 'count', hint: 'a' }])
})

test('orders', () => {
  assert.deepEqual(parseOrder('a.desc.nullslast,rel(b->>c).asc,"q.x"'), [
    { field: { name: 'a', path: [] }, relation: undefined, direction: 'desc', nulls: 'last' },
    {
      field: { name: 'b', path: [{ arrow: '->>', operand: { kind: 'key', key: 'c' } }] },
      relation: 'rel',
      direction: 'asc',
      nulls: undefined,
    },
    { field: { name: 'q.x', path: [] }, relation: undefined, direction: undefined, nulls: undefined },
  ])
})

test('what is accepted, best first', () => {
  assert.deepEqual(
    parseAccept('text/csv;q=0.5, application/vnd.pgrst.object+json;nulls=stripped, text/html;q=0').map(
      ({ kind }) => kind,
    ),
    ['object', 'csv'],
  )
  assert.deepEqual(parseAccept('application/vnd.pgrst.plan+json; for="text/csv"; options=analyze|nope'), [
    { kind: 'plan', format: 'json', for: { kind: 'csv' }, options: ['analyze'] },
  ])
})

test('where a role stands in a token', () => {
  const claims = { app: { 'x-role': ['a', 'b'] }, roles: ['other', 'web_user'] }
  const at = (text: string): unknown => followJsPath(parseJsPath(text) ?? [], claims)
  assert.equal(at('.app."x-role"[1]'), 'b')
  assert.equal(at('.app.x-role[0]'), 'a')
  assert.equal(at('.roles[?(@ ^== "web")]'), 'web_user')
  assert.equal(at('.nothing.there'), undefined)
  assert.equal(parseJsPath('role'), undefined)
  assert.equal(parseJsPath('.a['), undefined)
})

test('ranges of the header and of the query are both kept to', () => {
  const rangeOf = (target: string, range: string): unknown =>
    parseRequest({ method: 'GET', target, headers: { range }, body: Buffer.alloc(0) }, { dbSchemas: ['public'] })
      .topRange
  assert.deepEqual(rangeOf('/a', '0-9'), { offset: 0, limit: 10 })
  assert.deepEqual(rangeOf('/a?limit=5', '2-'), { offset: 2, limit: 3 })
  assert.deepEqual(rangeOf('/a?offset=4', '0-9'), { offset: 4, limit: 6 })
  assert.deepEqual(rangeOf('/a', 'bytes=0-9'), { offset: 0, limit: undefined })
})
