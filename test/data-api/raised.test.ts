// What functions say of the answer's head is taken where it is one. Whatever else they say, the server goes on.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { TestEngine } from './support/engine.ts'

const functions = `
create function raises(state text, message text default 'no', detail text default '') returns void language plpgsql as $$
  begin raise exception using errcode = state, message = message, detail = detail; end $$;
create function sets(name text, value text) returns integer language sql as $$ select set_config(name, value, true); select 1 $$;
`

let engine: TestEngine
before(async () => {
  engine = await TestEngine.start({}, functions)
})
after(() => engine[Symbol.asyncDispose]())

const codeOf = (json: unknown): unknown => (json as { code?: unknown } | undefined)?.code

test('codes that are no status', async () => {
  for (const [state, status] of [
    ['PT418', 418],
    ['PT000', 400],
    ['PT100', 400],
    ['PT101', 400],
    ['PT999', 400],
  ] as const) {
    const answer = await engine.ask('/rpc/raises', { method: 'POST', body: { state } })
    assert.deepEqual([answer.status, codeOf(answer.json)], [status, state])
  }
})

test('answers that are raised', async () => {
  const message = JSON.stringify({ code: 'mine', message: 'm' })
  const raised = async (detail: unknown): Promise<[number, unknown]> => {
    const body = { state: 'PGRST', message, detail: JSON.stringify(detail) }
    const { status, json } = await engine.ask('/rpc/raises', { method: 'POST', body })
    return [status, codeOf(json)]
  }
  assert.deepEqual(await raised({ status: 402, headers: { 'X-Mine': 'ä' } }), [402, 'mine'])
  for (const status of [0, 1, 100, 99_999, -1, 402.5])
    assert.deepEqual(await raised({ status, headers: {} }), [500, 'PGRST121'])
  for (const headers of [{ 'a b': 'c' }, { a: 'b\r\nc: d' }, { a: '\u0001' }, { 'Content-Length': '0' }, { '': '' }])
    assert.deepEqual(await raised({ status: 402, headers }), [500, 'PGRST121'])
})

test('a code is any text', async () => {
  const message = JSON.stringify({ code: 'a\r\nb: ü\u0000', message: 'm' })
  const body = { state: 'PGRST', message, detail: '{"status": 400, "headers": {}}' }
  const { status, headers } = await engine.ask('/rpc/raises', { method: 'POST', body })
  assert.deepEqual([status, headers.get('proxy-status'), headers.get('b')], [400, 'PostgREST; error=ab:', null])
})

test('heads that are set', async () => {
  const set = async (name: string, value: string): Promise<[number, unknown]> => {
    const { status, json } = await engine.ask('/rpc/sets', { method: 'POST', body: { name, value } })
    return [status, codeOf(json)]
  }
  for (const value of ['99', '100', '600', 'x', '200.5', '1e9'])
    assert.deepEqual(await set('response.status', value), [500, 'PGRST112'])
  for (const value of [{ a: '\u0001' }, { a: 'b\r\nc: d' }, { 'a:': 'b' }, { 'transfer-encoding': 'chunked' }])
    assert.deepEqual(await set('response.headers', JSON.stringify([value])), [500, 'PGRST111'])
  assert.deepEqual(await set('response.headers', '[{"X-Mine": "\\u00fc"}]'), [200, undefined])
})
