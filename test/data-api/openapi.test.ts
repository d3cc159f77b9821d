// The description at the root: what is in it, for whom, and where it is told.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { TestEngine, type Answer } from './support/engine.ts'

const described = `
  comment on schema public is E'The club\\n\\nWho is in it.';
  comment on table members is E'People\\nall of them';
  comment on column members.name is 'As they are "called"';
  alter table members add column nick varchar(12), add column tags text[] default '{a}';
  comment on function add_them(integer, integer) is 'Adds';
  create table hidden (id int primary key);
  create table "sl/ash ~" ("q""uote" int primary key, "</script>" text);
  grant select on "sl/ash ~" to anonymous, authenticated;
  create table narrow (id int, salary int); grant select (id) on narrow to authenticated;
  create function root_spec() returns json language sql stable as $$ select json_build_object('swagger', '2.0', 'who', current_user) $$;
  revoke execute on function writes() from public;`

let engine: TestEngine
before(async () => {
  engine = await TestEngine.start({ openapiMode: 'follow-privileges', dbSchemas: ['public', 'other'] }, described)
})
after(() => engine?.[Symbol.asyncDispose]())

type Property = {
  type?: string
  format: string
  description?: string
  enum?: string[]
  default?: unknown
  maxLength?: number
  items?: { type: string }
}
type Parameter = {
  $ref?: string
  name?: string
  in?: string
  required?: boolean
  type?: string
  schema?: { properties?: Record<string, Property>; required?: string[] }
}
type Operation = {
  tags: string[]
  summary?: string
  description?: string
  parameters?: Parameter[]
  responses: Record<string, unknown>
}
type Document = {
  swagger: string
  info: { title: string; description: string; version: string }
  host?: string
  basePath: string
  schemes: string[]
  definitions: Record<
    string,
    { type: string; description?: string; required?: string[]; properties: Record<string, Property> }
  >
  parameters: Record<string, Parameter>
  paths: Record<string, Record<string, Operation>>
  security?: unknown
}
const documentOf = (answer: Answer): Document => {
  assert.equal(answer.status, 200, answer.text)
  return answer.json as Document
}
const user = { role: 'authenticated' }

test('it is a description of Swagger 2.0 whose references lead somewhere', async () => {
  const answer = await engine.ask('/')
  assert.equal(answer.headers.get('content-type'), 'application/openapi+json; charset=utf-8')
  const document = documentOf(answer)
  assert.equal(document.swagger, '2.0')
  assert.deepEqual([document.info.title, document.info.description], ['The club', 'Who is in it.'])
  assert.deepEqual([document.host, document.basePath, document.schemes], [new URL(engine.origin).host, '/', ['http']])
  const references = [...answer.text.matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference ?? '')
  assert.ok(references.length > 50)
  for (const reference of new Set(references)) {
    const [, kind = '', name = ''] = /^#\/(definitions|parameters)\/(.+)$/.exec(reference) ?? []
    const key = decodeURIComponent(name).replaceAll('~1', '/').replaceAll('~0', '~')
    assert.ok(key in (kind === 'definitions' ? document.definitions : document.parameters), reference)
  }
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const operation of Object.values(operations)) {
      assert.ok(operation.tags.length > 0 && Object.keys(operation.responses).length > 0, path)
      for (const parameter of operation.parameters ?? [])
        assert.ok(parameter.$ref ?? (parameter.name && parameter.in), path)
    }
  }
})

test('rows are described by their columns', async () => {
  const { definitions } = documentOf(await engine.ask('/'))
  const members = definitions['members']
  assert.deepEqual(members?.required, ['name'])
  assert.equal(members?.description, 'People\nall of them')
  const { id, name, level, club_id, joined, score, nick, tags } = members?.properties ?? {}
  assert.deepEqual(
    [id?.type, id?.format, id?.description],
    ['integer', 'integer', 'Note:\nThis is a Primary Key.<pk/>'],
  )
  assert.equal(name?.description, 'As they are "called"')
  assert.deepEqual([level?.type, level?.enum, level?.default], ['string', ['junior', 'senior'], 'junior'])
  assert.equal(club_id?.description, "Note:\nThis is a Foreign Key to `clubs.id`.<fk table='clubs' column='id'/>")
  assert.equal(joined?.format, 'timestamp with time zone')
  assert.equal(score?.type, 'number')
  assert.equal(nick?.maxLength, 12)
  assert.deepEqual([tags?.type, tags?.items, tags?.default], ['array', { type: 'string' }, '{a}'])
  assert.deepEqual(definitions['clubs']?.properties['details'], { format: 'jsonb' })
})

test('what may be done with relations and functions', async () => {
  const { paths } = documentOf(await engine.ask('/'))
  assert.deepEqual(Object.keys(paths['/clubs'] ?? {}), ['get', 'post', 'delete', 'patch'])
  assert.deepEqual(
    [paths['/members']?.['get']?.summary, paths['/members']?.['get']?.description],
    ['People', 'all of them'],
  )
  const filters = (paths['/teams']?.['get']?.parameters ?? []).map(({ $ref }) => $ref)
  assert.ok(filters.includes('#/parameters/rowFilter.teams.title') && filters.includes('#/parameters/order'))
  const add = paths['/rpc/add_them']
  assert.deepEqual([add?.['get']?.summary, Object.keys(add ?? {})], ['Adds', ['get', 'post']])
  assert.deepEqual(
    add?.['get']?.parameters?.map(({ name, required, type }) => [name, required, type]),
    [
      ['a', true, 'integer'],
      ['b', false, 'integer'],
    ],
  )
  assert.deepEqual(add?.['post']?.parameters?.[0]?.schema?.required, ['a'])
  assert.deepEqual(Object.keys(paths['/rpc/fails'] ?? {}), ['post'])
})

test('it follows what its reader may do, or does not', async () => {
  const of = async (as?: Record<string, unknown>): Promise<Document> =>
    documentOf(await engine.ask('/', as ? { as } : {}))
  const [anonymous, signedIn] = [await of(), await of(user)]
  assert.ok(!('/secrets' in anonymous.paths) && '/secrets' in signedIn.paths)
  assert.ok(!('/narrow' in anonymous.paths) && '/narrow' in signedIn.paths)
  for (const document of [anonymous, signedIn]) {
    assert.ok(!('hidden' in document.definitions))
    assert.ok(!('/rpc/writes' in document.paths))
  }
  await using all = await TestEngine.start(
    {
      openapiMode: 'ignore-privileges',
      openapiSecurityActive: true,
      openapiServerProxyUri: 'https://api.example.com/base/',
    },
    described,
  )
  const document = documentOf(await all.ask('/'))
  assert.ok('/hidden' in document.paths && '/rpc/writes' in document.paths && '/secrets' in document.paths)
  assert.deepEqual(document.security, [{ JWT: [] }])
  assert.deepEqual([document.host, document.basePath, document.schemes], ['api.example.com', '/base', ['https']])
})

test('names are anything', async () => {
  const document = documentOf(await engine.ask('/'))
  assert.deepEqual(Object.keys(document.definitions['sl/ash ~']?.properties ?? {}), ['q"uote', '</script>'])
  assert.ok('/sl/ash ~' in document.paths && 'rowFilter.sl/ash ~.q"uote' in document.parameters)
})

test('a schema is described by itself', async () => {
  const answer = await engine.ask('/', { headers: { 'accept-profile': 'other' } })
  assert.equal(answer.headers.get('content-profile'), 'other')
  assert.deepEqual(Object.keys(documentOf(answer).definitions), ['things'])
  assert.equal((await engine.ask('/', { headers: { 'accept-profile': 'none' } })).status, 406)
})

test('it is told as JSON too, and as nothing else', async () => {
  const json = await engine.ask('/', { headers: { accept: 'application/json' } })
  assert.equal(json.headers.get('content-type'), 'application/json; charset=utf-8')
  documentOf(json)
  const csv = await engine.ask('/', { headers: { accept: 'text/csv' } })
  assert.deepEqual([csv.status, (csv.json as { code: string }).code], [406, 'PGRST107'])
  const head = await engine.ask('/', { method: 'HEAD' })
  assert.deepEqual(
    [head.status, head.text, head.headers.get('content-type')],
    [200, '', 'application/openapi+json; charset=utf-8'],
  )
  assert.equal((await engine.ask('/', { method: 'POST', body: {} })).status, 405)
})

test('a function of the database may describe it instead, or nobody', async () => {
  await using own = await TestEngine.start({ dbRootSpec: 'root_spec' }, described)
  const answer = await own.ask('/', { as: user })
  assert.equal(answer.headers.get('content-type'), 'application/openapi+json; charset=utf-8')
  assert.deepEqual(answer.json, { swagger: '2.0', who: 'authenticated' })
  assert.equal((await own.ask('/', { headers: { accept: 'text/csv' } })).status, 406)
  await using none = await TestEngine.start({ openapiMode: 'disabled' })
  const refused = await none.ask('/')
  assert.deepEqual([refused.status, (refused.json as { code: string }).code], [404, 'PGRST126'])
})
