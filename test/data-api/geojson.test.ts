// GeoJSON, as PostGIS writes it. It comes with no package of npm: a Postgres of the machine has it, or has not.

import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { skipUnless } from '../support/programs.ts'
import { TestEngine } from './support/engine.ts'

const type = 'application/geo+json'
const sql = `
  create extension postgis;
  create table countries (id int primary key, name text);
  create table places (id int primary key, name text, country_id int references countries, at geometry(Point, 4326));
  insert into countries values (1, 'Chile');
  insert into places values (1, 'Punta Arenas', 1, 'SRID=4326;POINT(-70.9 -53.2)'), (2, 'Castro', 1, 'SRID=4326;POINT(-73.8 -42.5)'), (3, 'Nowhere', null, null);
  create function near(lon float, lat float) returns setof places stable language sql as
    $$ select * from places where st_dwithin(at, st_setsrid(st_point(lon, lat), 4326), 1) $$;
  grant all on countries, places to anonymous`

type Feature = { type: string; geometry: unknown; properties: Record<string, unknown> }

/** Of the newest Postgres here that has it. */
function binariesWithPostGis(): string | undefined {
  const [control] = globSync('/usr/share/postgresql/*/extension/postgis.control').toSorted().toReversed()
  const major = control?.split('/')[4]
  return major === undefined ? undefined : `/usr/lib/postgresql/${major}/bin`
}

const binaries = binariesWithPostGis()

describe('with PostGIS', skipUnless(binaries === undefined ? 'needs a Postgres with PostGIS' : undefined), () => {
  let engine: TestEngine
  before(async () => {
    engine = await TestEngine.start({}, sql, { binaries })
  })
  after(async () => await engine?.[Symbol.asyncDispose]())

  const featuresOf = async (path: string, asked: Parameters<TestEngine['ask']>[1] = {}): Promise<Feature[]> => {
    const answer = await engine.ask(path, { ...asked, headers: { accept: type, ...asked.headers } })
    assert.equal(answer.headers.get('content-type'), `${type}; charset=utf-8`, answer.text)
    const collection = answer.json as { type: string; features: Feature[] }
    assert.equal(collection.type, 'FeatureCollection')
    return collection.features
  }

  test('rows are features: where they are, and what else is known of them', async () => {
    const properties = { id: 1, name: 'Punta Arenas', country_id: 1 }
    assert.deepEqual(await featuresOf('/places?id=eq.1'), [
      { type: 'Feature', geometry: { type: 'Point', coordinates: [-70.9, -53.2] }, properties },
    ])
    assert.deepEqual(
      (await featuresOf('/places?order=name.desc&limit=2')).map((each) => each.properties['name']),
      ['Punta Arenas', 'Nowhere'],
    )
    assert.deepEqual(await featuresOf('/places?id=eq.7'), [])
  })

  test('with what they belong to, and of functions', async () => {
    const [place] = await featuresOf('/places?select=at,of:countries(name)&id=eq.2')
    assert.deepEqual(place?.properties, { of: { name: 'Chile' } })
    const near = await featuresOf('/rpc/near?lon=-73&lat=-42')
    assert.deepEqual(
      near.map(({ properties: { id } }) => id),
      [2],
    )
  })

  test('what was written', async () => {
    const body = { id: 4, at: { type: 'Point', coordinates: [50, 60] } }
    const headers = { prefer: 'return=representation' }
    const [place] = await featuresOf('/places?select=id,at', { method: 'POST', body, headers })
    assert.deepEqual(place, { type: 'Feature', geometry: body.at, properties: { id: 4 } })
  })

  test('rows that are nowhere are refused by PostGIS', async () => {
    const { status, json } = await engine.ask('/countries', { headers: { accept: type } })
    assert.deepEqual([status, (json as { message: string }).message], [400, 'geometry column is missing'])
  })
})
