// Media types and who makes them, a line of PostgREST's documentation each, as far as other files do not try it already.
//
// https://docs.postgrest.org/en/v14/references/api.html

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TestEngine, type Answer, type Ask } from './support/engine.ts'
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
  test('GeoJSON, by functions named as those of PostGIS are', async () => {
    const stand = `
      create table spots (id int, name text); insert into spots values (1, 'here'); grant select on spots to anonymous;
      create function st_asgeojson(r record, geom_column text default '', maxdecimaldigits int default 9, pretty_bool bool default false, id_column text default '')
        returns text language plpgsql immutable as $$ begin return json_build_object('type', 'Feature', 'properties', to_json(r))::text; end $$;`
    await using there = await TestEngine.start({}, stand)
    const made = await there.ask('/spots', { headers: { accept: 'application/geo+json' } })
    assert.equal(made.headers.get('content-type'), 'application/geo+json; charset=utf-8')
    assert.deepEqual(made.json, {
      type: 'FeatureCollection',
      features: [{ type: 'Feature', properties: { id: 1, name: 'here' } }],
    })
    assert.equal((await accept('application/geo+json', '/tools')).status, 406)
  })
})
