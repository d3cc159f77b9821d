// Forms of writes and what becomes of them, a line of PostgREST's documentation each, as far as other files do not try it already.
//
// https://docs.postgrest.org/en/v14/references/api.html

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TestEngine, type Answer } from './support/engine.ts'
import { codeOf, labels, useWorkshop } from './support/workshop.ts'

const engine = useWorkshop()

describe('writes', () => {
  const back = { prefer: 'return=representation, tx=rollback' }
  const write = (
    method: string,
    path: string,
    body: unknown,
    headers: Record<string, string> = back,
  ): Promise<Answer> => engine().ask(path, { method, body, headers })
  test('representations in bodies and in what comes back', async () => {
    const shop = { region: 'x', number: 1, name: 'X', paint: '#FF0000' }
    assert.deepEqual((await write('POST', '/shops?select=paint', shop)).json, [{ paint: '#FF0000' }])
    const all = (await write('POST', '/shops', shop)).json as { paint: string }[]
    assert.equal(all[0]?.paint, '#FF0000')
    assert.deepEqual((await write('PATCH', '/shops?name=eq.North&select=paint', { paint: '#000001' })).json, [
      { paint: '#000001' },
    ])
  })
  test('what is always generated cannot be given', async () => {
    assert.deepEqual(
      [
        (await write('POST', '/tools', { id: 9, label: 'x' })).status,
        codeOf(await write('POST', '/tools', { id: 9, label: 'x' })),
      ],
      [400, '428C9'],
    )
    assert.equal(codeOf(await write('POST', '/tools', { code: 'X', label: 'x' })), '428C9')
    assert.deepEqual((await write('POST', '/tools?select=code,price', { label: 'x' })).json, [{ code: 'X', price: 5 }])
  })
  test('defaults for what is missing, in an update as well', async () => {
    const missing = { prefer: 'return=representation, missing=default, tx=rollback' }
    const changed = await write(
      'PATCH',
      '/tools?label=eq.axe&columns=price&select=price',
      { label: 'ignored' },
      missing,
    )
    assert.deepEqual(
      [changed.json, changed.headers.get('preference-applied')],
      [[{ price: 5 }], 'missing=default, return=representation, tx=rollback'],
    )
    const rows = await write(
      'POST',
      '/tools?columns=label,price&select=label,price',
      [{ label: 'a' }, { label: 'b', price: 7 }],
      missing,
    )
    assert.deepEqual(rows.json, [
      { label: 'a', price: 5 },
      { label: 'b', price: 7 },
    ])
  })
  test('rows without anything', async () => {
    const rows = await write('POST', '/keyless', [{}, {}])
    assert.deepEqual(
      [rows.status, rows.json],
      [
        201,
        [
          { a: null, b: null },
          { a: null, b: null },
        ],
      ],
    )
  })
  test('columns that are not there, keys that there are none of', async () => {
    assert.equal(codeOf(await write('POST', '/tools?columns=label,nope', { label: 'x' })), 'PGRST204')
    const plain = await write(
      'POST',
      '/keyless',
      { a: 1 },
      { prefer: 'resolution=merge-duplicates, return=representation, tx=rollback' },
    )
    assert.deepEqual(
      [plain.status, plain.headers.get('preference-applied')],
      [201, 'return=representation, tx=rollback'],
    )
    assert.equal((await write('PUT', '/keyless?a=eq.1', { a: 1 })).status, 405)
  })
  test('limits do not limit writes, conditions do', async () => {
    const removed = await write('DELETE', '/keyless?limit=1', undefined, {
      prefer: 'return=representation, tx=rollback, count=exact',
    })
    assert.equal(removed.headers.get('content-range'), '*/0')
    const changed = await write('PATCH', '/tools?region=eq.n&limit=1&select=label&order=label', { price: 1 })
    assert.deepEqual(changed.json, labels('axe', 'saw'))
    assert.equal(changed.headers.get('content-range'), '0-1/*')
  })
  test('where one row was made is told', async () => {
    const made = await write(
      'POST',
      '/shops',
      { region: 'a b', number: 2 },
      { prefer: 'return=headers-only, tx=rollback' },
    )
    assert.deepEqual(
      [made.status, made.headers.get('location'), made.text],
      [201, '/shops?region=eq.a%20b&number=eq.2', ''],
    )
    assert.equal(
      (await write('POST', '/keyless', { a: 1 }, { prefer: 'return=headers-only, tx=rollback' })).headers.get(
        'location',
      ),
      null,
    )
  })
  test('in another schema by its profile', async () => {
    await using two = await TestEngine.start(
      { dbSchemas: ['public', 'other'] },
      'grant insert on other.things to anonymous;',
    )
    const headers = { 'content-profile': 'other', prefer: 'return=representation' }
    const made = await two.ask('/things', { method: 'POST', body: { id: 5 }, headers })
    assert.deepEqual(
      [made.status, made.json, made.headers.get('content-profile')],
      [201, [{ id: 5, label: null }], 'other'],
    )
    const none = await two.ask('/things', { method: 'POST', body: { id: 6 }, headers: { 'accept-profile': 'other' } })
    assert.equal(codeOf(none), 'PGRST205')
  })
})
