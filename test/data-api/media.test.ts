// Answers in other media types: those of functions and aggregates, plans.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { TestEngine } from './support/engine.ts'

const fixture = readFileSync(new URL('./fixtures/media.sql', import.meta.url), 'utf8')

let engine: TestEngine
before(async () => {
  engine = await TestEngine.start({ dbPlanEnabled: true }, fixture)
})
after(() => engine[Symbol.asyncDispose]())

const accept = async (path: string, type: string): Promise<[number, string | null, string]> => {
  const { status, headers, text } = await engine.ask(path, { headers: { accept: type } })
  return [status, headers.get('content-type'), text]
}

describe('a function that returns a domain named like a media type', () => {
  test('by its name, or as anything', async () => {
    assert.deepEqual(await accept('/rpc/page', 'text/html'), [200, 'text/html', '<b>hi</b>'])
    assert.deepEqual(await accept('/rpc/page', '*/*'), [200, 'text/html', '<b>hi</b>'])
    assert.equal((await accept('/rpc/page', 'image/png'))[0], 406)
  })

  test('types that are known name their charset', async () => {
    assert.deepEqual(await accept('/rpc/plain', 'text/plain'), [200, 'text/plain; charset=utf-8', 'plain'])
    assert.deepEqual(await accept('/rpc/csv_of', 'text/csv'), [200, 'text/csv; charset=utf-8', 'own;csv'])
  })

  test('bytes are bytes', async () => {
    const response = await fetch(`${engine.origin}/rpc/picture`, { headers: { accept: 'image/png' } })
    assert.equal(response.headers.get('content-type'), 'image/png')
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), Buffer.from('89504e47', 'hex'))
  })

  test('one that is anything says itself what it is', async () => {
    const response = await fetch(`${engine.origin}/rpc/whatever`, { method: 'POST', headers: { accept: 'audio/*' } })
    assert.deepEqual([response.status, response.headers.get('content-type')], [200, 'audio/x-none'])
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), Buffer.from('00ff', 'hex'))
  })
})

describe('an aggregate that returns one', () => {
  test('of a table, unless something is selected', async () => {
    const type = 'application/vnd.club'
    assert.deepEqual(await accept('/clubs?order=id', type), [200, type, 'Alpha;Beta;Gamma;'])
    assert.equal((await accept('/clubs?select=name', type))[0], 406)
    assert.equal((await accept('/members', type))[0], 406)
  })

  test('of any rows', async () => {
    const type = 'text/vnd.count'
    assert.deepEqual(await accept('/clubs?select=name', type), [200, type, '|||'])
    assert.deepEqual(await accept('/rpc/members_of?club=1', type), [200, type, '||'])
  })

  test('for anything that is accepted', async () => {
    assert.deepEqual(await accept('/places', 'application/x-own'), [200, 'application/x-own', '1'])
    assert.deepEqual(await accept('/places', '*/*'), [200, 'application/octet-stream', '1'])
    assert.deepEqual(await accept('/places?select=id', '*/*'), [200, 'application/json; charset=utf-8', '[{"id":1}]'])
  })
})

describe('plans', () => {
  const plan = 'application/vnd.pgrst.plan'
  test('as text and as JSON', async () => {
    const [status, type, text] = await accept('/clubs', plan)
    assert.deepEqual([status, type], [200, `${plan}+text; for="application/json"; charset=utf-8`])
    assert.match(text, /^Aggregate/)
    const [, jsonType, json] = await accept('/clubs', `${plan}+json; for="text/csv"; options=analyze|buffers`)
    assert.equal(jsonType, `${plan}+json; for="text/csv"; options=analyze|buffers; charset=utf-8`)
    assert.ok('Execution Time' in (JSON.parse(json) as Record<string, unknown>[])[0]!)
  })

  test('of what is written, which is not done', async () => {
    const { status } = await engine.ask('/clubs?id=eq.3', { method: 'DELETE', headers: { accept: plan } })
    assert.equal(status, 200)
    assert.equal((await engine.admin.query('select from clubs where id = 3')).rowCount, 1)
  })
})

describe('JSON', () => {
  test('of one object, and without nulls', async () => {
    const [status, type, text] = await accept(
      '/clubs?select=id,founded&id=eq.3',
      'application/vnd.pgrst.object+json;nulls=stripped',
    )
    assert.deepEqual(
      [status, type, text],
      [200, 'application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8', '{"id":3}'],
    )
  })

  test('under its other names', async () => {
    for (const name of ['application/vnd.pgrst.array', 'application/vnd.pgrst.array+json'])
      assert.deepEqual(await accept('/clubs?select=id&id=eq.1', name), [
        200,
        'application/json; charset=utf-8',
        '[{"id":1}]',
      ])
  })
})

test('nothing that is accepted', async () => {
  const { status, json } = await engine.ask('/clubs', { headers: { accept: 'image/gif, audio/ogg;q=0.5' } })
  assert.deepEqual(
    [status, json],
    [
      406,
      {
        code: 'PGRST107',
        details: null,
        hint: null,
        message: 'None of these media types are available: image/gif, audio/ogg',
      },
    ],
  )
})
