// Media types and who makes them, a line of PostgREST's documentation each, as far as other files do not try it already.
//
// https://docs.postgrest.org/en/v14/references/api.html

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Answer, Ask } from './support/engine.ts'
import { useWorkshop } from './support/workshop.ts'

const engine = useWorkshop()

describe('media types', () => {
  const accept = (type: string, path: string, ask: Ask = {}): Promise<Answer> =>
    engine().ask(path, { ...ask, headers: { accept: type } })
  test('handlers of a table, where all of it is selected', async () => {
    const made = await accept('application/vnd.tool+xml', '/tools?order=id')
    assert.deepEqual(
      [made.text, made.headers.get('content-type')],
      ['<tools><saw/><axe/><nail/></tools>', 'application/vnd.tool+xml'],
    )
    assert.equal((await accept('application/vnd.tool+xml', '/tools?select=label')).status, 406)
    assert.equal((await accept('application/vnd.tool+xml', '/shops')).status, 406)
  })
  test('handlers of anything', async () => {
    const lines = await accept('text/lines', '/keyless?select=a')
    assert.equal(lines.status, 200, lines.text)
    assert.equal((await accept('text/lines', '/tools?select=label&order=id')).text, '(saw)\n(axe)\n(nail)')
  })
  test('one object without nulls', async () => {
    const one = await accept(
      'application/vnd.pgrst.object+json;nulls=stripped',
      '/tools?label=eq.nail&select=label,sold',
    )
    assert.deepEqual(one.json, { label: 'nail' })
    assert.equal(one.headers.get('content-type'), 'application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8')
  })
  test('plans', async () => {
    const text = await accept('application/vnd.pgrst.plan', '/tools')
    assert.match(text.text, /Aggregate/)
    assert.match(
      text.headers.get('content-type') ?? '',
      /^application\/vnd\.pgrst\.plan\+text; for="application\/json"/,
    )
    const json = await accept('application/vnd.pgrst.plan+json; options=analyze|verbose', '/tools')
    assert.ok('Execution Time' in ((json.json as Record<string, unknown>[])[0] ?? {}))
    const write = await accept('application/vnd.pgrst.plan', '/tools', { method: 'POST', body: { label: 'planned' } })
    assert.match(write.text, /Insert on tools/)
    assert.deepEqual((await engine().ask('/tools?label=eq.planned')).json, [])
  })
  test('GeoJSON is none without PostGIS', async () => {
    assert.equal((await accept('application/geo+json', '/tools')).status, 406)
  })
})
