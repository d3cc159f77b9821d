// What is written, what comes back of it, and what is left undone.

import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { TestEngine, type Ask } from './support/engine.ts'

let engine: TestEngine
before(async () => {
  engine = await TestEngine.start({ dbTxEnd: 'commit-allow-override' })
})
after(() => engine[Symbol.asyncDispose]())
beforeEach(() => engine.admin.query('delete from clubs where id >= 10; delete from members where id >= 5'))

const back = (prefer = ''): Record<string, string> => ({ prefer: `return=representation${prefer && `,${prefer}`}` })
const ask = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
  engine.ask(path, { method, headers, ...(body === undefined ? {} : { body }) } satisfies Ask)
const clubs = async (): Promise<unknown[]> =>
  (await engine.admin.query('select id, name from clubs where id >= 10 order by id')).rows

describe('POST', () => {
  test('one row, and what comes back is asked for', async () => {
    const nothing = await ask('POST', '/clubs', { id: 10, name: 'Ten' })
    assert.deepEqual([nothing.status, nothing.text, nothing.headers.get('content-range')], [201, '', '*/*'])
    const row = await ask('POST', '/clubs?select=name,members(name)', { id: 11, name: 'Eleven' }, back())
    assert.deepEqual([row.status, row.json], [201, [{ name: 'Eleven', members: [] }]])
    assert.equal(row.headers.get('preference-applied'), 'return=representation')
    const header = await ask('POST', '/clubs', { id: 12, name: 'Twelve' }, { prefer: 'return=headers-only' })
    assert.deepEqual([header.status, header.headers.get('location')], [201, '/clubs?id=eq.12'])
    const one = { ...back(), accept: 'application/vnd.pgrst.object+json' }
    assert.deepEqual((await ask('POST', '/clubs?select=id', { id: 13, name: 'x' }, one)).json, { id: 13 })
  })

  test('several at once, or none of them', async () => {
    const two = [
      { id: 10, name: 'a' },
      { id: 11, name: 'b' },
    ]
    assert.equal((await ask('POST', '/clubs', two, { prefer: 'count=exact' })).headers.get('content-range'), '*/2')
    const again = await ask('POST', '/clubs', [
      { id: 12, name: 'c' },
      { id: 10, name: 'd' },
    ])
    assert.equal(again.status, 409)
    assert.match(again.text, /"23505"/)
    assert.deepEqual(await clubs(), two)
    assert.equal((await ask('POST', '/clubs', [])).status, 201)
    const uneven = await ask('POST', '/clubs', [{ id: 12, name: 'c' }, { id: 13 }])
    assert.deepEqual([uneven.status, (uneven.json as { message: string }).message], [400, 'All object keys must match'])
  })

  test('numbers are as exact as they came', async () => {
    const exact = '12345678901234567890.123456789'
    const { text } = await ask('POST', '/members?select=score', `{"name": "x", "score": ${exact}}`, {
      ...back(),
      'content-type': 'application/json',
    })
    assert.equal(text, `[{"score":${exact}}]`)
  })

  test('defaults, and columns that are chosen', async () => {
    const plain = await ask(
      'POST',
      '/members?columns=name,joined&select=name,joined',
      [{ name: 'x', score: 5 }],
      back(),
    )
    assert.deepEqual(plain.json, [{ name: 'x', joined: null }])
    const filled = await ask(
      'POST',
      '/members?columns=name,joined&select=joined',
      [{ name: 'y' }],
      back('missing=default'),
    )
    assert.deepEqual(filled.json, [{ joined: '2020-01-01T00:00:00+00:00' }])
    assert.equal(filled.headers.get('preference-applied'), 'missing=default, return=representation')
    const unknown = await ask('POST', '/clubs', { id: 10, name: 'x', nope: 1 })
    assert.deepEqual(
      [unknown.status, (unknown.json as { code: string; message: string }).message],
      [400, "Could not find the 'nope' column of 'clubs' in the schema cache"],
    )
  })

  test('CSV and forms', async () => {
    const csv = await ask('POST', '/members?select=name,score', 'name,score\nCsv,1\n"Q, ""x""",NULL\n', {
      ...back(),
      'content-type': 'text/csv',
    })
    assert.deepEqual(csv.json, [
      { name: 'Csv', score: 1 },
      { name: 'Q, "x"', score: null },
    ])
    const ragged = await ask('POST', '/members', 'name,score\nCsv\n', { 'content-type': 'text/csv' })
    assert.match(ragged.text, /All lines must have same number of fields/)
    const form = await ask('POST', '/clubs?select=name', 'id=10&name=A+%26+B', {
      ...back(),
      'content-type': 'application/x-www-form-urlencoded',
    })
    assert.deepEqual(form.json, [{ name: 'A & B' }])
    assert.match(
      (await ask('POST', '/clubs', '<a/>', { 'content-type': 'text/xml' })).text,
      /Content-Type not acceptable: text\/xml/,
    )
    assert.match(
      (await ask('POST', '/clubs', '{"id"', { 'content-type': 'application/json' })).text,
      /Empty or invalid json/,
    )
  })

  test('what is there is merged or left', async () => {
    await ask('POST', '/clubs', { id: 10, name: 'old' })
    const merged = await ask('POST', '/clubs', [{ id: 10, name: 'new' }], back('resolution=merge-duplicates'))
    assert.deepEqual(
      [merged.status, merged.headers.get('preference-applied')],
      [200, 'resolution=merge-duplicates, return=representation'],
    )
    const both = [
      { id: 10, name: 'newer' },
      { id: 11, name: 'added' },
    ]
    assert.equal((await ask('POST', '/clubs?on_conflict=id', both, back('resolution=merge-duplicates'))).status, 201)
    const left = await ask(
      'POST',
      '/clubs?select=id',
      [
        { id: 10, name: 'z' },
        { id: 12, name: 'q' },
      ],
      back('resolution=ignore-duplicates'),
    )
    assert.deepEqual([left.status, left.json], [201, [{ id: 12 }]])
    assert.deepEqual(await clubs(), [...both, { id: 12, name: 'q' }])
  })
})

describe('PUT', () => {
  test('makes or replaces the one row that it names', async () => {
    assert.equal((await ask('PUT', '/clubs?id=eq.10', { id: 10, name: 'a' }, back())).status, 201)
    assert.equal((await ask('PUT', '/clubs?id=eq.10', { id: 10, name: 'b' }, back())).status, 200)
    assert.equal((await ask('PUT', '/clubs?id=eq.10', { id: 10, name: 'c' })).status, 204)
    assert.deepEqual(await clubs(), [{ id: 10, name: 'c' }])
  })

  test('and nothing else', async () => {
    const code = async (path: string, body: unknown): Promise<unknown[]> => {
      const { status, json } = await ask('PUT', path, body)
      return [status, (json as { code: string }).code]
    }
    assert.deepEqual(await code('/clubs?id=eq.10', { id: 11, name: 'x' }), [400, 'PGRST115'])
    assert.deepEqual(await code('/clubs?id=gt.10', { id: 11, name: 'x' }), [405, 'PGRST105'])
    assert.deepEqual(await code('/clubs?id=eq.10&name=eq.x', { id: 10, name: 'x' }), [405, 'PGRST105'])
    assert.deepEqual(await code('/clubs?id=eq.10&limit=1', { id: 10, name: 'x' }), [400, 'PGRST114'])
    assert.deepEqual(await clubs(), [])
  })
})

describe('PATCH and DELETE', () => {
  test('change and remove what the conditions say', async () => {
    await ask('POST', '/clubs', [
      { id: 10, name: 'a' },
      { id: 11, name: 'b' },
    ])
    const changed = await ask('PATCH', '/clubs?id=eq.10&select=name', { name: 'c' }, back('count=exact'))
    assert.deepEqual(
      [changed.status, changed.json, changed.headers.get('content-range')],
      [200, [{ name: 'c' }], '0-0/1'],
    )
    assert.equal((await ask('PATCH', '/clubs?id=eq.99', { name: 'c' })).status, 204)
    assert.deepEqual((await ask('PATCH', '/clubs?id=eq.10', {}, back())).json, [])
    const removed = await ask('DELETE', '/clubs?id=gte.10&select=id&order=id.desc', undefined, back('count=exact'))
    assert.deepEqual(
      [removed.status, removed.json, removed.headers.get('content-range')],
      [200, [{ id: 11 }, { id: 10 }], '*/2'],
    )
    assert.equal((await ask('DELETE', '/clubs?id=gte.10')).status, 204)
  })

  test('what would be too many is undone', async () => {
    await ask('POST', '/clubs', [
      { id: 10, name: 'a' },
      { id: 11, name: 'b' },
    ])
    const many = await ask('DELETE', '/clubs?id=gte.10', undefined, { prefer: 'handling=strict,max-affected=1' })
    assert.deepEqual(
      [many.status, (many.json as { code: string; details: string }).details],
      [400, 'The query affects 2 rows'],
    )
    const one = { ...back(), accept: 'application/vnd.pgrst.object+json' }
    assert.equal((await ask('DELETE', '/clubs?id=gte.10', undefined, one)).status, 406)
    assert.equal((await clubs()).length, 2)
  })

  test('a transaction that is only tried', async () => {
    const tried = await ask('POST', '/clubs', { id: 10, name: 'a' }, back('tx=rollback'))
    assert.deepEqual(
      [tried.status, tried.headers.get('preference-applied')],
      [201, 'return=representation, tx=rollback'],
    )
    assert.deepEqual(await clubs(), [])
  })
})

test('preferences that there are none of, where that matters', async () => {
  const strict = await ask('GET', '/clubs', undefined, { prefer: 'handling=strict, return=all, nope' })
  assert.deepEqual(
    [strict.status, (strict.json as { code: string; details: string }).details],
    [400, 'Invalid preferences: return=all, nope'],
  )
  assert.equal((await ask('GET', '/clubs', undefined, { prefer: 'nope' })).status, 200)
})

test('who may not read a column may write it all the same', async () => {
  await engine.admin.query('revoke select on clubs from anonymous; grant select (id) on clubs to anonymous')
  try {
    assert.equal((await ask('POST', '/clubs', { id: 10, name: 'x' })).status, 201)
    assert.equal((await ask('POST', '/clubs?select=id', { id: 11, name: 'x' }, back())).status, 201)
    assert.equal((await ask('POST', '/clubs', { id: 12, name: 'x' }, back())).status, 401)
  } finally {
    await engine.admin.query('grant select on clubs to anonymous')
  }
})
