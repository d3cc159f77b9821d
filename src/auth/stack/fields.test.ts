import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StackError } from './errors.ts'
import { assertStorable, metadata, nullableImageUrl, toEmailAddress } from './fields.ts'

const isSchemaError = (error: unknown): boolean => error instanceof StackError && error.code === 'SCHEMA_ERROR'

test('one address has one form', () => {
  for (const given of ['Ada@Example.com', ' ada@example.com ', 'ada@example.com', 'ＡＤＡ@example.com'])
    assert.equal(toEmailAddress(given), 'ada@example.com')
})

test('what is no address, or stands for none, is refused', () => {
  for (const given of [
    '',
    'ada',
    'ada@',
    'ada@example',
    '@example.com',
    'a b@example.com',
    'ada@example.com\r\nBcc: x@example.com',
    'ada@example.com,x@example.com',
    '<ada@example.com>',
    'x@none.invalid',
    `${'a'.repeat(65)}@example.com`,
    `a@${'x'.repeat(250)}.com`,
  ])
    assert.throws(() => toEmailAddress(given), isSchemaError, given)
})

test('what Postgres cannot keep is refused wherever it stands', () => {
  const bad = ['\0', { a: ['\0'] }, { '\0': 1 }, '\ud800', [[{ deep: '\udfff' }]]]
  for (const value of bad) assert.throws(() => assertStorable(value), isSchemaError)
  let nested: unknown = 1
  for (let depth = 0; depth < 70; depth++) nested = [nested]
  assert.throws(() => assertStorable(nested), isSchemaError)
  assertStorable({ text: 'ok 🙂', list: [null, true, 1] })
})

test('pictures are on the web or small and in place', () => {
  const read = (value: unknown): unknown => nullableImageUrl({ it: value }, 'it')
  assert.equal(read('https://x.example/a.png'), 'https://x.example/a.png')
  assert.equal(read('data:image/png;base64,AAAA'), 'data:image/png;base64,AAAA')
  assert.equal(read(''), null)
  assert.equal(read(null), null)
  assert.equal(read(undefined), undefined)
  for (const value of ['javascript:alert(1)', 'data:text/html,x', 'data:image/svg+xml;base64,AAAA', '/x', 7])
    assert.throws(() => read(value), isSchemaError)
})

test('metadata is anything of at most 64 KiB', () => {
  assert.deepEqual(metadata({ it: { a: [1] } }, 'it'), { a: [1] })
  assert.equal(metadata({ it: null }, 'it'), null)
  assert.throws(() => metadata({ it: 'x'.repeat(65_536) }, 'it'), isSchemaError)
})
