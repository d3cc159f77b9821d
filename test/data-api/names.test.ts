// Names and types that are not where, or not what, one would think.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { TestEngine } from './support/engine.ts'

const long = 'a'.repeat(63)
const sql = `
create table other.parents (id integer primary key, "${long}" integer, "a_b" text, a jsonb);
create table other.children (id integer primary key, parent_id integer references other.parents, level level default 'senior');
create function other.level_of(given level) returns level language sql immutable as $$ select given $$;
insert into other.parents values (1, 2, 'x', '{"b": "y"}'), (2, 1, 'y', '{"b": "x"}');
insert into other.children values (1, 1), (2, 2);
grant all on other.parents, other.children to anonymous;
`

let engine: TestEngine
before(async () => {
  engine = await TestEngine.start({ dbSchemas: ['other'], dbExtraSearchPath: [] }, sql)
})
after(() => engine[Symbol.asyncDispose]())

test('what rows are ordered by is not in them, however long its name is', async () => {
  const { json } = await engine.ask(`/children?select=id,parents(id)&order=parents(${long})`)
  assert.deepEqual(json, [
    { id: 2, parents: { id: 2 } },
    { id: 1, parents: { id: 1 } },
  ])
})

test('a path and a column that read alike are two', async () => {
  const ids = async (order: string): Promise<unknown> =>
    (await engine.ask(`/children?select=id,parents(id)&order=${order}`)).text.match(/(?<="id":)\d(?=,")/g)
  assert.deepEqual(await ids('parents(a_b).desc,parents(a->>b).desc'), ['2', '1'])
  assert.deepEqual(await ids('parents(a->>b).desc,parents(a_b).desc'), ['1', '2'])
})

test('a type is found where it is, whatever the path of a request', async () => {
  const body = [{ id: 3, level: 'junior' }]
  const headers = { prefer: 'return=representation' }
  const inserted = await engine.ask('/children?select=level', { method: 'POST', body, headers })
  assert.deepEqual([inserted.status, inserted.json], [201, [{ level: 'junior' }]], inserted.text)
  const defaults = { prefer: 'return=representation,missing=default' }
  const missing = await engine.ask('/children?select=level&columns=id,level', {
    method: 'POST',
    body: [{ id: 4 }],
    headers: defaults,
  })
  assert.deepEqual([missing.status, missing.json], [201, [{ level: 'senior' }]], missing.text)
  assert.equal((await engine.ask('/rpc/level_of?given=senior')).json, 'senior')
})

test('no name is one of the statement’s own', async () => {
  const { json } = await engine.ask('/parents?select=_postgrest_t:a_b,pgrst_source:id&order=id', {
    headers: { prefer: 'count=exact' },
  })
  assert.deepEqual(json, [
    { _postgrest_t: 'x', pgrst_source: 1 },
    { _postgrest_t: 'y', pgrst_source: 2 },
  ])
  const one = await engine.ask('/children?select=_postgrest_t:parent_id', {
    headers: { accept: 'application/vnd.pgrst.object+json' },
  })
  assert.equal(one.status, 406)
  const csv = await engine.ask('/parents?select=_postgrest_t:a_b&order=id', { headers: { accept: 'text/csv' } })
  assert.equal(csv.text, '_postgrest_t\nx\ny')
})
