// No text of a request becomes SQL: every part of a request that can hold a text holds one that would like to. What is sent to Postgres is
// looked at: a text of the request stands in no statement but as a name in quotes, or as the words of a cast's type.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { ConnectionSource } from '../../src/data-api/connections.ts'
import type { DataApi } from '../../src/data-api/engine.ts'
import { TestEngine, tokenOf } from './support/engine.ts'

/** In each attack, and nowhere else. */
const mark = 'zqxj'
const attacks = [
  `${mark}'; drop table canary; --`,
  `${mark}"; drop table canary; --`,
  `${mark}") as x, (delete from canary returning *) as "y`,
  `${mark}) or (1=1`,
  `${mark}\\'; delete from canary; --`,
  `' or '${mark}' = '${mark}`,
  `${mark} $1 $2`,
  `$$; drop table canary; -- ${mark} $$`,
  `${mark}\u0000'; drop table canary; --`,
  `{"${mark}":1}`,
  `*/ drop table canary /* ${mark}`,
  `${mark}ä\u2028"'\`;\r\n\t`,
  `${mark}::text)); drop table canary; --`,
  `pg_sleep(10)${mark}`,
  `${mark}","b`,
  `%27;${mark}%00`,
  `${mark}\ud800`,
  mark,
  mark.repeat(100),
]

const sent: string[] = []
const recorded = (source: ConnectionSource): ConnectionSource => ({
  async connect() {
    const connection = await source.connect()
    return {
      query(statement) {
        sent.push(statement.text)
        assert.doesNotMatch(statement.name ?? '', new RegExp(mark, 'i'))
        return connection.query(statement)
      },
      together: (send) => connection.together(send),
      release: (isSound) => connection.release(isSound),
    }
  },
})

let engine: TestEngine
let api: DataApi
let everything: string
before(async () => {
  engine = await TestEngine.start(
    {},
    `create table canary as select 'alive' as text; grant all on canary to anonymous;
    create function takes_text(text) returns text language sql immutable as $$ select $1 $$;`,
  )
  // Whatever is written is taken back, so that all of it can be compared.
  api = engine.another(
    {
      dbTxEnd: 'rollback',
      dbAggregatesEnabled: true,
      dbPlanEnabled: true,
      dbSchemas: ['public', 'other'],
      serverTraceHeader: 'X-Trace',
      serverCorsAllowedOrigins: ['https://a.example'],
    },
    recorded,
  )
  everything = await contents()
})
after(async () => {
  assert.equal(await contents(), everything)
  await engine[Symbol.asyncDispose]()
})

async function contents(): Promise<string> {
  const { rows } = await engine.admin.query<{ name: string }>(
    `select c.oid::regclass::text as name from pg_class c where relkind = 'r' and relnamespace in ('public'::regnamespace, 'other'::regnamespace) order by 1`,
  )
  const texts: string[] = []
  for (const { name } of rows)
    texts.push(name, JSON.stringify((await engine.admin.query(`select to_jsonb(t) from ${name} t order by 1`)).rows))
  return texts.join('\n')
}

type Sent = { method?: string; target?: string; headers?: Record<string, string>; body?: string }

/** What may be said of one, and what has been sent to Postgres for it. */
async function attack({ method = 'GET', target = '/clubs', headers = {}, body = '' }: Sent): Promise<string[]> {
  sent.length = 0
  const answer = await api.handle({ method, target, headers, body: Buffer.from(body) })
  const what = `${method} ${target} ${JSON.stringify(headers).slice(0, 500)} ${body.slice(0, 200)}: ${answer.status} ${String(answer.body)}`
  assert.ok(answer.status < 500, what)
  if (answer.status >= 300 && method !== 'HEAD') {
    const said = JSON.parse(String(answer.body)) as Record<string, unknown>
    assert.deepEqual(Object.keys(said), ['code', 'details', 'hint', 'message'], what)
    assert.ok(said['code'] !== '42601' || String(said['message']).includes('tsquery'), `a syntax error: ${what}`)
  }
  for (const [name, value] of answer.headers) assert.doesNotMatch(name + value, /[\r\n\0]/, what)
  return [...sent]
}

const e = (text: string): string => encodeURIComponent(text.toWellFormed())
const q = (text: string): string => e(`"${text.replaceAll(/["\\]/g, (sign) => `\\${sign}`)}"`)
const operators = ['eq', 'neq', 'gt', 'gte', 'lt', 'lte', 'like', 'ilike', 'match', 'imatch', 'isdistinct', 'cs', 'cd', 'ov', 'sl', 'sr', 'nxr', 'nxl', 'adj', 'is', 'fts', 'plfts', 'phfts', 'wfts'] // prettier-ignore

/** Places of values: what is in them changes no statement. */
const values: Record<string, (text: string) => Sent> = {
  ...Object.fromEntries(
    operators.flatMap((operator) => [
      [operator, (text: string) => ({ target: `/clubs?name=${operator}.${e(text)}` })],
      [`not.${operator}`, (text: string) => ({ target: `/clubs?tags=not.${operator}.${e(text)}` })],
      [`${operator} in a tree`, (text: string) => ({ target: `/clubs?or=(name.${operator}.${q(text)},id.eq.1)` })],
    ]),
  ),
  in: (text) => ({ target: `/clubs?name=in.(a,${q(text)})` }),
  any: (text) => ({ target: `/clubs?name=eq(any).{${q(text)}}` }),
  all: (text) => ({ target: `/clubs?name=like(all).${e(text)}` }),
  configuration: (text) => ({ target: `/clubs?name=fts(${e(text.replaceAll(/[()]/g, ''))}).x` }),
  'path of a field': (text) => ({ target: `/clubs?select=x:details->${q(text)}->>${q(text)}&details->>${q(text)}=eq.1&order=details->${q(text)}` }),
  'value of an embed': (text) => ({ target: `/clubs?select=members(name)&members.name=eq.${e(text)}&members.or=(name.eq.${q(text)})` }),
  'argument of a call': (text) => ({ target: `/rpc/join_all?words=${e(text)}&words=${e(text)}` }),
  'body of a call': (text) => ({ method: 'POST', target: '/rpc/join_all', body: JSON.stringify({ words: [text] }) }),
  'text of a call': (text) => ({ method: 'POST', target: '/rpc/takes_text', headers: { 'content-type': 'text/plain' }, body: text }),
  'JSON of a call': (text) => ({ method: 'POST', target: '/rpc/echo', body: JSON.stringify([text]) }),
  'value of a row': (text) => ({ method: 'POST', body: JSON.stringify({ id: 50, name: text, tags: [text], details: { [text]: text } }), headers: { prefer: 'return=representation' } }),
  'value of a row in CSV': (text) => ({ method: 'POST', headers: { 'content-type': 'text/csv' }, body: `id,name\n50,"${text.replaceAll('"', '""')}"` }),
  'value of a form': (text) => ({ method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: `id=50&name=${e(text)}` }),
  'value of a default': (text) => ({ method: 'POST', target: '/clubs?columns=id,name', headers: { prefer: 'missing=default' }, body: JSON.stringify({ id: 50, name: text }) }),
  'value of a change': (text) => ({ method: 'PATCH', target: `/clubs?name=neq.${e(text)}`, body: JSON.stringify({ name: text }) }),
  'value of what goes': (text) => ({ method: 'DELETE', target: `/team_members?role=eq.${e(text)}` }),
  'value of a key': (text) => ({ method: 'PUT', target: `/clubs?id=eq.${e(text)}`, body: JSON.stringify({ id: text, name: text }) }),
  'value merged': (text) => ({ method: 'POST', headers: { prefer: 'resolution=merge-duplicates' }, body: JSON.stringify({ id: 1, name: text }) }),
  cookie: (text) => ({ headers: { cookie: `a=${text}; ${text}=b; __proto__=${text}` } }),
  header: (text) => ({ headers: { 'x-any': text, [text.toLowerCase()]: 'x', 'x-trace': text, origin: text } }),
  'user agent of a write': (text) => ({ method: 'DELETE', target: '/matches', headers: { 'user-agent': text } }),
} // prettier-ignore

/** Places of names and words: in a statement they are names in quotes, or nothing at all. */
const names: Record<string, (text: string) => Sent> = {
  relation: (text) => ({ target: `/${e(text)}` }),
  function: (text) => ({ target: `/rpc/${e(text)}` }),
  'function that is called': (text) => ({ method: 'POST', target: `/rpc/${e(text)}`, body: '{}' }),
  'deeper path': (text) => ({ target: `/clubs/${e(text)}` }),
  'path as it came': (text) => ({ target: `/${text.replaceAll(/[?#]/g, '')}` }),
  'query as it came': (text) => ({ target: `/clubs?${text}` }),
  column: (text) => ({ target: `/clubs?${e(text)}=eq.1` }),
  'quoted column': (text) => ({ target: `/clubs?${q(text)}=eq.1` }),
  'column of a tree': (text) => ({ target: `/clubs?or=(${q(text)}.eq.1,id.eq.1)` }),
  'words of a tree': (text) => ({ target: `/clubs?or=${e(text)}&and=(${e(text)})` }),
  'column of an embed': (text) => ({ target: `/clubs?select=members(id)&members.${q(text)}=eq.1` }),
  embed: (text) => ({ target: `/clubs?${q(text)}.id=eq.1` }),
  'embed of a tree': (text) => ({ target: `/clubs?${q(text)}.or=(id.eq.1)&${e(text)}.not.and=(id.eq.1)` }),
  'embed of a range': (text) => ({ target: `/clubs?${q(text)}.limit=1&${e(text)}.order=id` }),
  operator: (text) => ({ target: `/clubs?name=${e(text)}.x` }),
  quantifier: (text) => ({ target: `/clubs?name=eq(${e(text)}).x` }),
  'value of nothing': (text) => ({ target: `/clubs?name=${e(text)}` }),
  select: (text) => ({ target: `/clubs?select=${e(text)}` }),
  'selected column': (text) => ({ target: `/clubs?select=id,${q(text)}` }),
  alias: (text) => ({ target: `/clubs?select=${q(text)}:id` }),
  'alias of an embed': (text) => ({ target: `/clubs?select=${q(text)}:members(id)&${q(text)}.id=gt.0&${q(text)}=not.is.null` }),
  hint: (text) => ({ target: `/clubs?select=members!${q(text)}(id)` }),
  'embedded relation': (text) => ({ target: `/clubs?select=${q(text)}(id)` }),
  'spread relation': (text) => ({ target: `/clubs?select=...${q(text)}(id)` }),
  'column of what is spread': (text) => ({ target: `/members?select=...clubs(${q(text)}:name,${q(text)})` }),
  cast: (text) => ({ target: `/clubs?select=name::${e(text)}` }),
  aggregate: (text) => ({ target: `/clubs?select=id.${e(text)}()` }),
  'column that is summed up': (text) => ({ target: `/clubs?select=${q(text)}.sum()::${e(text)}` }),
  order: (text) => ({ target: `/clubs?order=${e(text)}` }),
  'column of an order': (text) => ({ target: `/clubs?order=${q(text)}.desc` }),
  'words of an order': (text) => ({ target: `/clubs?order=id.${e(text)}` }),
  'relation of an order': (text) => ({ target: `/members?select=clubs(id)&order=${q(text)}(id)` }),
  'related column of an order': (text) => ({ target: `/members?select=clubs(id)&order=clubs(${q(text)})` }),
  range: (text) => ({ target: `/clubs?limit=${e(text)}&offset=${e(text)}&members.limit=${e(text)}` }),
  columns: (text) => ({ method: 'POST', target: `/clubs?columns=${q(text)}`, body: '{}' }),
  'columns as they came': (text) => ({ method: 'POST', target: `/clubs?columns=${e(text)}`, body: '{}' }),
  conflict: (text) => ({ method: 'POST', target: `/clubs?on_conflict=${q(text)}`, headers: { prefer: 'resolution=merge-duplicates' }, body: '{"id":1,"name":"x"}' }),
  'key of a row': (text) => ({ method: 'POST', body: JSON.stringify({ [text]: 1 }) }),
  'key of a change': (text) => ({ method: 'PATCH', body: JSON.stringify([{ [text]: text }]) }),
  'key of a put': (text) => ({ method: 'PUT', target: `/clubs?${q(text)}=eq.1`, body: JSON.stringify({ [text]: 1 }) }),
  'header of CSV': (text) => ({ method: 'POST', headers: { 'content-type': 'text/csv' }, body: `"${text.replaceAll('"', '""')}"\n1` }),
  'CSV as it came': (text) => ({ method: 'POST', headers: { 'content-type': 'text/csv' }, body: text }),
  'key of a form': (text) => ({ method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: `${e(text)}=1` }),
  'body as it came': (text) => ({ method: 'POST', body: text }),
  'body with columns': (text) => ({ method: 'POST', target: '/clubs?columns=id,name', body: text }),
  parameter: (text) => ({ target: `/rpc/add_them?a=1&${e(text)}=1` }),
  'parameter of a body': (text) => ({ method: 'POST', target: '/rpc/add_them', body: JSON.stringify({ a: 1, [text]: 1 }) }),
  'column of a result': (text) => ({ target: `/rpc/pair?select=${q(text)}&order=${q(text)}` }),
  method: (text) => ({ method: text }),
  accept: (text) => ({ headers: { accept: text } }),
  'name of a type': (text) => ({ headers: { accept: `application/${text}, */*;q=${text}` } }),
  'plan for': (text) => ({ headers: { accept: `application/vnd.pgrst.plan+json; for="${text}"; options=analyze|${text}` } }),
  prefer: (text) => ({ headers: { prefer: text } }),
  ...Object.fromEntries(
    ['return', 'count', 'resolution', 'missing', 'tx', 'handling', 'timezone', 'max-affected'].map((name) => [
      `preference ${name}`,
      (text: string) => ({ method: 'POST', headers: { prefer: `handling=strict, ${name}=${text}` }, body: '{"id":50,"name":"x"}' }),
    ]),
  ),
  'zone of a read': (text) => ({ headers: { prefer: `timezone=${text}` } }),
  'range of rows': (text) => ({ headers: { range: text, 'range-unit': text } }),
  'profile of a read': (text) => ({ headers: { 'accept-profile': text } }),
  'profile of a write': (text) => ({ method: 'DELETE', headers: { 'content-profile': text } }),
  'type of a body': (text) => ({ method: 'POST', headers: { 'content-type': text }, body: '{}' }),
  authorization: (text) => ({ headers: { authorization: text } }),
  token: (text) => ({ headers: { authorization: `Bearer ${text}` } }),
  'parts of a token': (text) => ({ headers: { authorization: `Bearer ${text.replaceAll('.', '')}.${text.replaceAll('.', '')}.x` } }),
  'pages of others': (text) => ({ method: 'OPTIONS', headers: { origin: text, 'access-control-request-method': text, 'access-control-request-headers': text } }),
  inspected: (text) => ({ method: 'OPTIONS', target: `/${e(text)}` }),
} // prettier-ignore

/** Without names in quotes; what is left is the engine's own, but for the types of casts. */
const ownText = (statement: string): string =>
  statement.replaceAll(/"(?:[^"]|"")*"/g, '""').replaceAll(/ AS [\p{L}\p{Nd}_$ ]+\)/gu, ' AS type)')

for (const [place, make] of Object.entries(values)) {
  test(`a value is a parameter: ${place}`, async () => {
    const usual = await attack(make('usual'))
    for (const text of attacks) {
      const statements = await attack(make(text))
      for (const statement of statements) assert.doesNotMatch(statement, new RegExp(mark, 'i'))
      // Fewer where one was refused before anything was sent, and other ones only where a name was looked for again.
      for (const statement of statements)
        if (statement.startsWith('WITH ')) assert.ok(usual.includes(statement), statement)
    }
  })
}

for (const [place, make] of Object.entries(names)) {
  test(`a name is a name: ${place}`, async () => {
    for (const text of attacks)
      for (const statement of await attack(make(text)))
        assert.doesNotMatch(ownText(statement), new RegExp(mark, 'i'), statement)
  })
}

test('whatever a token says is a value', async () => {
  for (const text of attacks.map((each) => each.toWellFormed())) {
    for (const claims of [
      { role: text },
      { role: 'anonymous', [text]: text, sub: text },
      { role: [text] },
      { role: { [text]: 1 } },
      { role: 'authenticated', aud: text, exp: text },
    ]) {
      const authorization = `Bearer ${await tokenOf(claims)}`
      for (const statement of await attack({ headers: { authorization } }))
        assert.doesNotMatch(statement, new RegExp(mark, 'i'))
    }
  }
})

test('tokens that nobody has signed are nobody’s', async () => {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = part({ role: 'postgres' })
  const [, , signature = ''] = (await tokenOf({ role: 'anonymous' })).split('.')
  for (const token of [
    '',
    '..',
    'a.b.c',
    `${part({ alg: 'none' })}.${claims}.`,
    `${part({ alg: 'None' })}.${claims}.${signature}`,
    `${part({ alg: 'HS256' })}.${claims}.${signature}`,
    `${part({ alg: 'HS256', kid: '../../x', jku: 'http://127.0.0.1:1/' })}.${claims}.${signature}`,
    `${part({ alg: 'HS256', crit: ['b64'], b64: false })}.${claims}.${signature}`,
    `${part({ alg: 'RS256' })}.${claims}.${signature}`,
    `${part([])}.${claims}.${signature}`,
    `${part({ alg: 'HS256' })}.${'A'.repeat(500_000)}.${signature}`,
    'x'.repeat(500_000),
    '\u0000.\u0000.\u0000',
  ]) {
    const { status } = await api.handle({
      method: 'GET',
      target: '/clubs',
      headers: { authorization: `Bearer ${token}` },
      body: Buffer.alloc(0),
    })
    assert.equal(status, 401, token.slice(0, 80))
  }
})

const json = 'application/json'
const malformed: readonly (readonly [sent: Sent, status: number, code: string])[] = [
  [{ target: '/a/b' }, 404, 'PGRST125'],
  [{ target: '/rpc' }, 404, 'PGRST125'],
  [{ target: '/%ff' }, 404, 'PGRST125'],
  [{ target: '/' }, 404, 'PGRST126'],
  [{ target: '/nothing' }, 404, 'PGRST205'],
  [{ target: '/rpc/none_such' }, 404, 'PGRST202'],
  [{ target: '/rpc/add_them?c=1' }, 404, 'PGRST202'],
  [{ method: 'BREW' }, 405, 'PGRST117'],
  [{ method: 'PATCH', target: '/rpc/add_them' }, 405, 'PGRST101'],
  [{ target: '/clubs?select=(' }, 400, 'PGRST100'],
  [{ target: '/clubs?select=a->' }, 400, 'PGRST100'],
  [{ target: '/clubs?select=a::' }, 400, 'PGRST100'],
  [{ target: '/clubs?select=members(' }, 400, 'PGRST100'],
  [{ target: '/clubs?select="a' }, 400, 'PGRST100'],
  [{ target: '/clubs?name=x' }, 400, 'PGRST100'],
  [{ target: '/clubs?name=eq' }, 400, 'PGRST100'],
  [{ target: '/clubs?name=in.(a' }, 400, 'PGRST100'],
  [{ target: '/clubs?name=is.maybe' }, 400, 'PGRST100'],
  [{ target: '/clubs?=eq.1' }, 400, 'PGRST100'],
  [{ target: '/clubs?or=()' }, 400, 'PGRST100'],
  [{ target: '/clubs?or=(name.eq.a' }, 400, 'PGRST100'],
  [{ target: '/clubs?order=name.up' }, 400, 'PGRST100'],
  [{ target: '/clubs?order=' }, 400, 'PGRST100'],
  [{ target: '/clubs?members.id=eq.1' }, 400, 'PGRST108'],
  [{ target: '/clubs?members.order=id' }, 400, 'PGRST108'],
  [{ target: '/clubs?select=members(id)&members=eq.1' }, 400, 'PGRST120'],
  [{ target: '/clubs?select=members(id)&order=members(id)' }, 400, 'PGRST118'],
  [{ target: '/clubs?select=nothing(id)' }, 400, 'PGRST200'],
  [{ target: '/matches?select=teams(id)' }, 300, 'PGRST201'],
  [{ target: '/clubs?select=...members(id.sum())' }, 400, 'PGRST127'],
  [{ target: '/clubs?limit=-1' }, 416, 'PGRST103'],
  [{ headers: { range: '5-2' } }, 416, 'PGRST103'],
  [{ target: '/clubs?offset=100', headers: { prefer: 'count=exact' } }, 416, 'PGRST103'],
  [{ headers: { accept: 'image/png' } }, 406, 'PGRST107'],
  [{ headers: { 'accept-profile': 'secret' } }, 406, 'PGRST106'],
  [{ method: 'POST', headers: { 'content-profile': 'secret' }, body: '{}' }, 406, 'PGRST106'],
  [{ headers: { prefer: 'handling=strict, what' } }, 400, 'PGRST122'],
  [{ headers: { accept: 'application/vnd.pgrst.object+json' } }, 406, 'PGRST116'],
  [{ method: 'POST', body: '' }, 400, 'PGRST102'],
  [{ method: 'POST', body: '{' }, 400, 'PGRST102'],
  [{ method: 'POST', body: '[{"id":1},{"name":"x"}]' }, 400, 'PGRST102'],
  [{ method: 'POST', body: '[1]' }, 400, 'PGRST102'],
  [{ method: 'POST', headers: { 'content-type': 'image/png' }, body: 'x' }, 400, 'PGRST102'],
  [{ method: 'POST', headers: { 'content-type': 'text/csv' }, body: 'id,name\n1' }, 400, 'PGRST102'],
  [{ method: 'POST', headers: { 'content-type': 'text/csv' }, body: '"id' }, 400, 'PGRST102'],
  [{ method: 'POST', headers: { 'content-type': json }, body: '{"nothing":1}' }, 400, 'PGRST204'],
  [{ method: 'POST', target: '/clubs?columns=nothing', body: '{}' }, 400, 'PGRST204'],
  [{ method: 'POST', target: '/clubs?columns=id,name', body: '{' }, 400, '22P02'],
  [{ method: 'PUT', target: '/clubs', body: '{"id":1}' }, 405, 'PGRST105'],
  [{ method: 'PUT', target: '/clubs?id=gt.1', body: '{"id":1}' }, 405, 'PGRST105'],
  [{ method: 'PUT', target: '/clubs?id=eq.1&limit=1', body: '{"id":1}' }, 400, 'PGRST114'],
  [{ method: 'PUT', target: '/clubs?id=eq.1', body: '{"id":2,"name":"x"}' }, 400, 'PGRST115'],
  [{ method: 'DELETE', target: '/matches', headers: { prefer: 'handling=strict, max-affected=0' } }, 400, 'PGRST124'],
  [{ method: 'POST', target: '/rpc/add_them', headers: { prefer: 'handling=strict, max-affected=1' }, body: '{"a":1}' }, 400, 'PGRST128'],
  [{ headers: { authorization: 'Bearer' } }, 401, 'PGRST301'],
  [{ headers: { authorization: 'Bearer a.b' } }, 401, 'PGRST301'],
  [{ target: '/clubs?nothing=eq.1' }, 400, '42703'],
  [{ target: '/clubs?id=eq.x' }, 400, '22P02'],
  [{ target: '/clubs?name=match.(' }, 400, '2201B'],
  [{ target: '/clubs?select=name::nothing' }, 400, '42704'],
  [{ target: '/clubs?founded=eq.9999999-99-99' }, 400, '22008'],
] // prettier-ignore

test('what is malformed is told what it is', async () => {
  for (const [{ method = 'GET', target = '/clubs', headers = {}, body = '' }, status, code] of malformed) {
    const answer = await api.handle({ method, target, headers, body: Buffer.from(body) })
    const said = /"code":"(\w+)"/.exec(String(answer.body))?.[1]
    assert.deepEqual(
      [answer.status, said],
      [status, code],
      `${method} ${target} ${JSON.stringify(headers)} ${body}: ${String(answer.body)}`,
    )
  }
})

test('deep and long ones have an end', async () => {
  const deep = `/clubs?or=${'(or'.repeat(5000)}`
  assert.equal((await engine.ask(deep)).status, 400)
  assert.equal((await engine.ask(`/clubs?select=${'members('.repeat(500)}id${')'.repeat(500)}`)).status, 400)
  const many = await engine.ask(`/clubs?${'id=eq.1&'.repeat(1500)}`)
  assert.equal(many.status, 400)
})
