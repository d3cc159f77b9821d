import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultOf } from './defaults.ts'
import { swaggerType } from './types.ts'

test('a default is told where it is a constant, and of what is written as text as it stands', () => {
  const told = (type: string, expression: string | undefined): unknown => defaultOf(expression, swaggerType(type))
  assert.equal(told('text', `'it''s'::text`), `it's`)
  assert.equal(told('text', `''::text`), '')
  assert.equal(told('timestamp with time zone', 'now()'), 'now()')
  assert.equal(told('integer', '7'), 7)
  assert.equal(told('integer', `'-1'::integer`), -1)
  assert.equal(told('boolean', 'true'), true)
  assert.equal(told('numeric', '0.5'), 0.5)
  assert.deepEqual(told('jsonb', `'{"a": [1]}'::jsonb`), { a: [1] })
  for (const [type, expression] of [
    ['integer', `nextval('a_id_seq'::regclass)`],
    ['integer', 'true'],
    ['integer', '0.5'],
    ['boolean', '1'],
    ['bigint', `'9007199254740993'::bigint`],
    ['numeric', `'NaN'::numeric`],
    ['jsonb', 'to_jsonb(now())'],
    ['text[]', `'{}'::text[]`],
    ['text', undefined],
  ] as const)
    assert.equal(told(type, expression), undefined, expression)
})
