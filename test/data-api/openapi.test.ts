// The description at the root: valid Swagger 2.0, of what the role may use, whatever the database's names and comments are.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { defaultConfig } from '../../src/data-api/config.ts'
import { TestEngine, type Ask } from './support/engine.ts'

const guarded = String.raw`
comment on schema public is E'Club\n\nMembers and teams,\nand what they play';
comment on table clubs is E'All clubs\n\nOf the city';
comment on column clubs.name is 'As it is registered';
comment on function add_them(integer, integer) is E'Adds\n\nTwo of them';
comment on table teams is E'"quoted" \\ \'single\' </script> {"$ref": "#/x"}\u0001\n]}';
create domain short as varchar(5) not null;
create domain shorter as short;
create table kinds (
  id bigint primary key, code varchar(10) not null default 'it''s', letters char(3), bits bit(4), tiny shorter, plain text,
  n integer default 7, minus integer default '-1', big bigint default 9007199254740993, share numeric default 0.5, is_on boolean not null default true,
  made timestamptz default now(), list text[] default '{}', levels level[], note jsonb default '{"a": 1}', level level default 'senior', twice integer generated always as (n * 2) stored
);
create table "__proto__" ("a/b~c" integer primary key, "constructor" text, "toString" text);
create table hidden (id integer primary key, shown text, secret text);
create table inbox (id integer generated always as identity primary key, text text not null);
create view counted as select count(*) from clubs;
create schema closed; create table closed.things (id integer primary key); grant select on closed.things to anonymous;
create function "a{b}/c"(x integer) returns integer language sql stable as 'select x';
create function of_lists(ids integer[], variadic words text[]) returns integer language sql stable as 'select 1';
create function two_ways(a integer) returns integer language sql stable as 'select 1';
create function two_ways(a integer, b integer) returns integer language sql stable as 'select 1';
create function unnamed(integer, integer) returns integer language sql stable as 'select 1';
create function not_yours() returns integer language sql stable as 'select 1';
grant select on kinds, "__proto__", counted to anonymous;
grant select (id, shown) on hidden to anonymous; grant update (shown) on hidden to anonymous;
grant insert (text) on inbox to anonymous;
grant select on hidden to authenticated;
revoke execute on function not_yours() from public; grant execute on function not_yours() to authenticated;
create domain "application/openapi+json" as json;
create function describe_all() returns "application/openapi+json" language sql stable as $$ select '{"swagger": "2.0"}'::json $$;
create function describe_plainly() returns json language sql stable as $$ select json_build_object('role', current_user, 'sub', current_setting('request.jwt.claims')::json ->> 'sub') $$;
create function other.describe_other() returns json language sql stable as $$ select '{"of": "other"}'::json $$;
create function refuse() returns void language plpgsql as $$ begin raise sqlstate 'PT403' using message = 'not you'; end $$;
`

type Parameter = { $ref?: string; name?: string; in?: string; type?: string; required?: boolean; schema?: unknown }
type Operation = {
  tags: string[]
  summary?: string
  description?: string
  parameters?: Parameter[]
  responses: Record<string, { description: string }>
}
type Definition = { type: string; description?: string; required?: string[]; properties: Record<string, unknown> }
type Swagger = {
  swagger: string
  info: Record<'title' | 'description' | 'version', string>
  host?: string
  basePath: string
  schemes: string[]
  paths: Record<string, Record<string, Operation>>
  definitions: Record<string, Definition>
  parameters: Record<string, Parameter>
  [other: string]: unknown
}

let engine: TestEngine
before(async () => {
  const dbSchemas = ['public', 'other', 'closed'] as const
  engine = await TestEngine.start({ openapiMode: 'follow-privileges', dbSchemas }, guarded)
})
after(() => engine[Symbol.asyncDispose]())

async function described(of: TestEngine = engine, ask: Ask = {}): Promise<Swagger> {
  const { status, text } = await of.ask('/', ask)
  assert.equal(status, 200, text)
  return JSON.parse(text) as Swagger
}

const methodsOf = ({ paths }: Swagger, path: string): string[] => Object.keys(paths[path] ?? {})

test('it is Swagger 2.0, every reference of which leads to something', async () => {
  const it = await described()
  assert.equal(it.swagger, '2.0')
  assert.deepEqual(it.info, { title: 'Club', description: 'Members and teams,\nand what they play', version: '14' })
  assert.deepEqual([it.host, it.basePath, it.schemes], [new URL(engine.origin).host, '/', ['http']])
  assert.deepEqual(it['externalDocs'], {
    description: 'PostgREST Documentation',
    url: 'https://postgrest.org/en/v14/references/api.html',
  })
  for (const kind of ['consumes', 'produces']) assert.ok((it[kind] as string[]).includes('application/json'))
  assert.equal(it['security'] ?? it['securityDefinitions'], undefined)
  const references = referencesIn(it)
  assert.ok(references.length > 100)
  for (const reference of references) assert.notEqual(followed(it, reference), undefined, reference)
  for (const [name, parameter] of Object.entries(it.parameters)) assertParameter(parameter, name)
  for (const [path, item] of Object.entries(it.paths)) {
    assert.match(path, /^\/[^{}]*$/)
    for (const [method, operation] of Object.entries(item)) {
      assert.match(method, /^(get|post|patch|delete)$/, path)
      assert.ok(
        Object.values(operation.responses).every(({ description }) => description !== ''),
        path,
      )
      assert.ok(Object.keys(operation.responses).length > 0 && operation.tags.length === 1, path)
      for (const parameter of operation.parameters ?? []) if (!parameter.$ref) assertParameter(parameter, path)
    }
  }
  for (const [name, { type, properties, required = [] }] of Object.entries(it.definitions)) {
    assert.equal(type, 'object', name)
    for (const each of required) assert.ok(Object.hasOwn(properties, each), `${name}.${each}`)
  }
})

function assertParameter(parameter: Parameter, where: string): void {
  assert.equal(typeof parameter.name, 'string', where)
  assert.equal(typeof parameter.required, 'boolean', where)
  if (parameter.in === 'body') return assert.equal(typeof parameter.schema, 'object', where)
  assert.match(parameter.in ?? '', /^(query|header)$/, where)
  assert.match(parameter.type ?? '', /^(string|boolean|integer|number|array)$/, where)
}

function referencesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, each]) =>
    key === '$ref' && typeof each === 'string' ? [each] : referencesIn(each),
  )
}

/** RFC 6901 in the fragment of a URI. */
function followed(document: unknown, reference: string): unknown {
  const [first, ...steps] = decodeURIComponent(reference).split('/')
  assert.equal(first, '#')
  return steps
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>(
      (at, step) => (Object.hasOwn(at as object, step) ? (at as Record<string, unknown>)[step] : undefined),
      document,
    )
}

test('tables, with what can be done with them', async () => {
  const it = await described()
  const { get, post, patch, delete: remove } = it.paths['/clubs'] ?? {}
  assert.deepEqual([get?.summary, get?.description, get?.tags], ['All clubs', 'Of the city', ['clubs']])
  const names = (operation: Operation | undefined): string[] =>
    (operation?.parameters ?? []).map(({ $ref = '' }) => $ref.replace('#/parameters/', ''))
  const filters = ['id', 'name', 'founded', 'tags', 'details'].map((column) => `rowFilter.clubs.${column}`)
  assert.deepEqual(names(get), [...filters, 'select', 'order', 'range', 'rangeUnit', 'offset', 'limit', 'preferCount'])
  assert.deepEqual(names(post), ['body.clubs', 'select', 'preferPost'])
  assert.deepEqual(names(patch), [...filters, 'body.clubs', 'preferReturn'])
  assert.deepEqual(names(remove), [...filters, 'preferReturn'])
  assert.deepEqual(get?.responses, {
    200: { description: 'OK', schema: { type: 'array', items: { $ref: '#/definitions/clubs' } } },
    206: { description: 'Partial Content' },
  })
  assert.deepEqual(it.parameters['body.clubs'], {
    name: 'clubs',
    description: 'clubs',
    required: false,
    in: 'body',
    schema: { $ref: '#/definitions/clubs' },
  })
  assert.deepEqual(it.parameters['rowFilter.clubs.name'], {
    name: 'name',
    description: 'As it is registered',
    required: false,
    in: 'query',
    type: 'string',
  })
  assert.ok(['preferParams', 'on_conflict'].every((name) => Object.hasOwn(it.parameters, name)))
  assert.deepEqual(methodsOf(it, '/counted'), ['get'])
})

test('columns, with their types, defaults, enums, lengths and notes', async () => {
  const { definitions } = await described()
  assert.deepEqual(definitions['kinds'], {
    type: 'object',
    required: ['id', 'code', 'tiny', 'is_on'],
    properties: {
      id: { format: 'int64', type: 'integer', description: 'Note:\nThis is a Primary Key.<pk/>' },
      code: { format: 'character varying', type: 'string', default: "it's", maxLength: 10 },
      letters: { format: 'character', type: 'string', maxLength: 3 },
      bits: { format: 'bit', type: 'string', maxLength: 4 },
      tiny: { format: 'character varying', type: 'string', maxLength: 5 },
      plain: { format: 'text', type: 'string' },
      n: { format: 'int32', type: 'integer', default: 7 },
      minus: { format: 'int32', type: 'integer', default: -1 },
      big: { format: 'int64', type: 'integer' },
      share: { format: 'numeric', type: 'number', default: 0.5 },
      is_on: { format: 'boolean', type: 'boolean', default: true },
      made: { format: 'timestamp with time zone', type: 'string', default: 'now()' },
      list: { format: 'text[]', type: 'array', items: { type: 'string' } },
      levels: { format: 'public.level[]', type: 'array', items: { type: 'string' } },
      note: { format: 'jsonb', default: { a: 1 } },
      level: { format: 'public.level', type: 'string', default: 'senior', enum: ['junior', 'senior'] },
      twice: { format: 'int32', type: 'integer' },
    },
  })
  const notes = (table: string): unknown[] =>
    Object.entries(definitions[table]?.properties ?? {}).flatMap(([name, property]) => {
      const { description } = property as { description?: string }
      return description === undefined ? [] : [[name, description]]
    })
  assert.deepEqual(definitions['clubs']?.description, 'All clubs\n\nOf the city')
  assert.deepEqual(notes('clubs'), [
    ['id', 'Note:\nThis is a Primary Key.<pk/>'],
    ['name', 'As it is registered'],
  ])
  const key = (table: string, column: string): string =>
    `This is a Foreign Key to \`${table}.${column}\`.<fk table='${table}' column='${column}'/>`
  // Of one to one it is the side that has the key; and what a view shows is marked as in its table.
  assert.deepEqual(notes('passports'), [['member_id', `Note:\nThis is a Primary Key.<pk/>\n${key('members', 'id')}`]])
  assert.deepEqual(notes('members'), [
    ['id', 'Note:\nThis is a Primary Key.<pk/>'],
    ['club_id', `Note:\n${key('clubs', 'id')}`],
    ['mentor_id', `Note:\n${key('members', 'id')}`],
  ])
  assert.deepEqual(notes('senior_members'), [
    ['member', 'Note:\nThis is a Primary Key.<pk/>'],
    ['club', `Note:\n${key('clubs', 'id')}`],
  ])
})

test('functions, by GET where they change nothing', async () => {
  const { paths } = await described()
  const { get, post } = paths['/rpc/add_them'] ?? {}
  assert.deepEqual([get?.summary, get?.description, get?.tags], ['Adds', 'Two of them', ['(rpc) add_them']])
  assert.deepEqual(get?.parameters, [
    { name: 'a', in: 'query', required: true, type: 'integer', format: 'int32' },
    { name: 'b', in: 'query', required: false, type: 'integer', format: 'int32' },
  ])
  const args = {
    type: 'object',
    description: 'Adds\n\nTwo of them',
    required: ['a'],
    properties: { a: { type: 'integer', format: 'int32' }, b: { type: 'integer', format: 'int32' } },
  }
  assert.deepEqual(post?.parameters, [
    { name: 'args', in: 'body', required: true, schema: args },
    { $ref: '#/parameters/preferParams' },
  ])
  assert.deepEqual(Object.keys(paths['/rpc/writes'] ?? {}), ['post'])
  assert.deepEqual(paths['/rpc/of_lists']?.['get']?.parameters, [
    { name: 'ids', in: 'query', required: true, type: 'string', format: 'integer[]' },
    {
      name: 'words',
      in: 'query',
      required: false,
      type: 'array',
      collectionFormat: 'multi',
      items: { type: 'string', format: 'text' },
    },
  ])
  // Results are no arguments.
  assert.deepEqual(paths['/rpc/pair']?.['get']?.parameters, [])
  assert.deepEqual(
    paths['/rpc/two_ways']?.['get']?.parameters?.map(({ name }) => name),
    ['a'],
  )
  assert.deepEqual(Object.keys(paths['/rpc/echo'] ?? {}), ['post'])
  assert.deepEqual(paths['/rpc/echo']?.['post']?.parameters?.[0]?.schema, { format: 'json' })
  for (const none of ['unnamed', 'shout', 'rivals']) assert.equal(paths[`/rpc/${none}`], undefined, none)
})

test('nobody is told of what he may not use', async () => {
  const anonymous = await described()
  assert.equal(anonymous.paths['/secrets'] ?? anonymous.definitions['secrets'], undefined)
  assert.equal(anonymous.paths['/rpc/not_yours'], undefined)
  assert.deepEqual(methodsOf(anonymous, '/kinds'), ['get'])
  assert.deepEqual(methodsOf(anonymous, '/hidden'), ['get', 'patch'])
  assert.deepEqual(Object.keys(anonymous.definitions['hidden']?.properties ?? {}), ['id', 'shown'])
  // What may be written and not be read is no filter.
  assert.deepEqual(methodsOf(anonymous, '/inbox'), ['post'])
  assert.deepEqual(Object.keys(anonymous.definitions['inbox']?.properties ?? {}), ['text'])
  assert.equal(anonymous.parameters['rowFilter.inbox.text'], undefined)
  assert.ok(!JSON.stringify(anonymous).includes('secret'))

  const authenticated = await described(engine, { as: { role: 'authenticated' } })
  assert.deepEqual(methodsOf(authenticated, '/secrets'), ['get', 'post', 'patch', 'delete'])
  assert.deepEqual(methodsOf(authenticated, '/hidden'), ['get'])
  assert.deepEqual(Object.keys(authenticated.definitions['hidden']?.properties ?? {}), ['id', 'shown', 'secret'])
  assert.deepEqual(methodsOf(authenticated, '/rpc/not_yours'), ['get', 'post'])
  assert.equal(authenticated.paths['/kinds'], undefined)
  assert.deepEqual(methodsOf(await described(), '/hidden'), ['get', 'patch'], 'a role is not the next one’s')

  await engine.admin.query('revoke select on kinds from anonymous')
  assert.equal((await described()).paths['/kinds'], undefined, 'privileges are those of now')
  await engine.admin.query('grant select on kinds to anonymous')
})

test('a schema is chosen as for anything else, and one that may not be used is empty', async () => {
  const other = await engine.ask('/', { headers: { 'accept-profile': 'other', accept: 'application/json' } })
  const it = other.json as Swagger
  assert.equal(other.headers.get('content-profile'), 'other')
  assert.deepEqual(Object.keys(it.paths), ['/', '/things', '/rpc/describe_other'])
  assert.equal(it.info.title, 'PostgREST API')
  assert.notEqual(it.info.description, '')
  const closed = await described(engine, { headers: { 'accept-profile': 'closed' } })
  assert.deepEqual([Object.keys(closed.paths), closed.definitions], [['/'], {}])
  assert.equal((await engine.ask('/', { headers: { 'accept-profile': 'pg_catalog' } })).status, 406)
})

test('as what it is answered', async () => {
  const asked = async (accept: string): Promise<[number, string | null]> => {
    const { status, headers } = await engine.ask('/', { headers: { accept } })
    return [status, headers.get('content-type')]
  }
  const openapi = [200, 'application/openapi+json; charset=utf-8']
  assert.deepEqual(await asked('*/*'), openapi)
  assert.deepEqual(await asked('application/openapi+json'), openapi)
  assert.deepEqual(await asked('text/html, application/openapi+json;q=0.5'), openapi)
  assert.deepEqual(await asked('application/json'), [200, 'application/json; charset=utf-8'])
  const { status, json } = await engine.ask('/', { headers: { accept: 'text/csv' } })
  const { code, message } = json as { code: string; message: string }
  assert.deepEqual([status, code, message], [406, 'PGRST107', 'None of these media types are available: text/csv'])
  assert.equal((await engine.ask('/clubs', { headers: { accept: 'application/openapi+json' } })).status, 406)
  const head = await engine.ask('/', { method: 'HEAD' })
  assert.deepEqual([head.status, head.headers.get('content-type'), head.text], [...openapi, ''])
  assert.equal((await engine.ask('/', { method: 'HEAD', headers: { accept: 'text/csv' } })).status, 406)
  assert.equal((await engine.ask('/', { method: 'POST', body: {} })).status, 405)
})

test('of everything where privileges are ignored, and of nothing where it is disabled', async () => {
  const it = await described(await engine.beside({ openapiMode: 'ignore-privileges', dbSchemas: ['public'] }))
  assert.deepEqual(methodsOf(it, '/secrets'), ['get', 'post', 'patch', 'delete'])
  assert.deepEqual(Object.keys(it.definitions['hidden']?.properties ?? {}), ['id', 'shown', 'secret'])
  assert.deepEqual(methodsOf(it, '/rpc/not_yours'), ['get', 'post'])
  assert.deepEqual(methodsOf(it, '/counted'), ['get'], 'what a view cannot do, nobody can')
  assert.equal(defaultConfig.openapiMode, 'disabled')
  const disabled = await engine.beside({})
  for (const method of ['GET', 'HEAD']) {
    const { status, headers, json } = await disabled.ask('/', { method })
    assert.deepEqual([status, headers.get('proxy-status')], [404, 'PostgREST; error=PGRST126'])
    if (method === 'GET') assert.equal((json as { code: string }).code, 'PGRST126')
  }
})

test('where it is reached, and that it needs a token', async () => {
  const openapiMode = 'follow-privileges' as const
  const uri = 'https://example.com/v1'
  const it = await described(
    await engine.beside({ openapiMode, openapiServerProxyUri: uri, openapiSecurityActive: true }),
  )
  assert.deepEqual([it.host, it.basePath, it.schemes], ['example.com:443', '/v1', ['https']])
  const { JWT } = it['securityDefinitions'] as Record<string, Record<string, string>>
  assert.deepEqual([JWT?.['type'], JWT?.['name'], JWT?.['in']], ['apiKey', 'Authorization', 'header'])
  assert.deepEqual(it['security'], [{ JWT: [] }])
})

test('names and comments are nothing but texts', async () => {
  const it = await described()
  assert.equal(it.paths['/teams']?.['get']?.summary, `"quoted" \\ 'single' </script> {"$ref": "#/x"}\u0001`)
  assert.equal(it.paths['/teams']?.['get']?.description, ']}')
  const odd = 'odd "name" %'
  assert.deepEqual(Object.keys(it.definitions[odd]?.properties ?? {}), ['a b', 'ä.ö'])
  assert.ok(Object.hasOwn(it.paths, `/${encodeURIComponent(odd)}`))
  assert.ok(Object.hasOwn(it.definitions, '__proto__') && Object.hasOwn(it.paths, '/__proto__'))
  const { properties } = Object.entries(it.definitions).find(([name]) => name === '__proto__')?.[1] ?? {}
  assert.deepEqual(Object.keys(properties ?? {}), ['a/b~c', 'constructor', 'toString'])
  assert.equal((followed(it, '#/parameters/rowFilter.__proto__.a~1b~0c') as Parameter).name, 'a/b~c')
  assert.ok(Object.hasOwn(it.paths, '/rpc/a%7Bb%7D%2Fc'))
})

test('a function answers in its place, as any call does', async () => {
  const openapi = 'application/openapi+json; charset=utf-8'
  const domain = await engine.beside({ dbRootSpec: 'describe_all' })
  for (const accept of ['*/*', 'application/openapi+json']) {
    const { status, headers, text } = await domain.ask('/', { headers: { accept } })
    assert.deepEqual([status, headers.get('content-type'), text], [200, openapi, '{"swagger": "2.0"}'])
  }
  const plain = await engine.beside({ dbRootSpec: 'describe_plainly', openapiMode: 'disabled' })
  const asked = await plain.ask('/', { as: { role: 'authenticated', sub: 'ada' } })
  assert.deepEqual(
    [asked.status, asked.headers.get('content-type'), asked.json],
    [200, openapi, { role: 'authenticated', sub: 'ada' }],
  )
  const accept = async (type: string): Promise<unknown[]> => {
    const { status, headers } = await plain.ask('/', { headers: { accept: type } })
    return [status, headers.get('content-type')]
  }
  assert.deepEqual(await accept('application/openapi+json'), [200, openapi])
  assert.deepEqual(await accept('application/json'), [200, 'application/json; charset=utf-8'])
  assert.equal((await accept('image/png'))[0], 406)
  const head = await plain.ask('/', { method: 'HEAD' })
  assert.deepEqual([head.status, head.headers.get('content-type'), head.text], [200, openapi, ''])
  const other = await engine.beside({ dbRootSpec: 'other.describe_other', dbSchemas: ['public', 'other'] })
  assert.deepEqual((await other.ask('/')).json, { of: 'other' })
  assert.equal((await (await engine.beside({ dbRootSpec: 'refuse' })).ask('/')).status, 403)
  assert.equal((await (await engine.beside({ dbRootSpec: 'no_such' })).ask('/')).status, 404)
})
