// Functions: which one is meant, what it is given, and what becomes of its result.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { TestEngine } from './support/engine.ts'

let engine: TestEngine
before(async () => {
  engine = await TestEngine.start()
})
after(() => engine[Symbol.asyncDispose]())

const gets: readonly (readonly [path: string, expected: unknown])[] = [
  ['/rpc/add_them?a=1', 11],
  ['/rpc/add_them?a=1&b=2', 3],
  ['/rpc/numbers?most=3', [1, 2, 3]],
  ['/rpc/pair', { x: 1, y: 'one' }],
  ['/rpc/join_all?words=a&words=b', 'a-b'],
  ['/rpc/whoami', 'anonymous anonymous'],
  [
    '/rpc/members_of?club=1&select=name,clubs(name)&order=name.desc&limit=1',
    [{ name: 'Bob', clubs: { name: 'Alpha' } }],
  ],
  ['/rpc/members_of?club=1&level=eq.senior&select=name', [{ name: 'Ada' }]],
]
for (const [path, expected] of gets) {
  test(`GET ${path}`, async () => {
    const { status, json } = await engine.ask(path)
    assert.deepEqual([status, json], [200, expected])
  })
}

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  engine.ask(path, { method: 'POST', body, headers })

test('POST', async () => {
  assert.equal((await post('/rpc/add_them', { a: 1, b: 5 })).json, 6)
  assert.deepEqual((await post('/rpc/members_of?select=name&order=id', { club: 1 })).json, [
    { name: 'Ada' },
    { name: 'Bob' },
  ])
  const nothing = await post('/rpc/nothing', {})
  assert.deepEqual([nothing.status, nothing.text], [204, ''])
  assert.deepEqual((await post('/rpc/echo', { any: [1, { b: null }] })).json, { any: [1, { b: null }] })
  assert.equal((await post('/rpc/join_all', { words: ['x', 'y,"z'] })).json, 'x-y,"z')
  assert.equal(
    (await engine.ask('/rpc/whoami', { method: 'POST', as: { role: 'authenticated' } })).json,
    'authenticated authenticated',
  )
})

test('what writes does so by POST alone', async () => {
  const read = await engine.ask('/rpc/writes')
  assert.deepEqual([read.status, (read.json as { code: string }).code], [405, '25006'])
  assert.equal((await post('/rpc/writes', {})).json, 99)
  assert.equal((await engine.admin.query('select from clubs where id = 99')).rowCount, 1)
})

test('a result that is a media type already', async () => {
  const { text, headers } = await engine.ask('/rpc/page', { headers: { accept: 'text/html, */*;q=0.1' } })
  assert.deepEqual([text, headers.get('content-type')], ['<b>hi</b>', 'text/html'])
})

test('what the database says of the answer', async () => {
  const { status, headers, json } = await post('/rpc/says', {})
  assert.deepEqual([status, headers.get('x-club'), headers.get('set-cookie'), json], [202, 'yes', 'a=1', 'said'])
  const failed = await post('/rpc/fails', {})
  assert.deepEqual(
    [failed.status, failed.json],
    [418, { code: 'PT418', details: 'short', hint: 'stout', message: 'a teapot' }],
  )
})

test('none, and which there are', async () => {
  const near = await engine.ask('/rpc/add_them?c=1')
  assert.deepEqual(
    [near.status, near.json],
    [
      404,
      {
        code: 'PGRST202',
        details:
          'Searched for the function public.add_them with parameter c, but no matches were found in the schema cache.',
        hint: 'Perhaps you meant to call the function public.add_them(a, b)',
        message: 'Could not find the function public.add_them(c) in the schema cache',
      },
    ],
  )
  assert.equal((await engine.ask('/rpc/nope')).status, 404)
  await engine.admin.query(
    'create function twice(a integer) returns integer language sql as $$ select 1 $$; create function twice(a text) returns integer language sql as $$ select 2 $$',
  )
  await using fresh = await TestEngine.start(
    {},
    'create function twice(a integer) returns integer language sql as $$ select 1 $$; create function twice(a text) returns integer language sql as $$ select 2 $$;',
  )
  const two = await fresh.ask('/rpc/twice?a=1')
  assert.equal(two.status, 300)
  assert.match(
    two.text,
    /Could not choose the best candidate function between: public\.twice\(a => integer\), public\.twice\(a => text\)/,
  )
})
