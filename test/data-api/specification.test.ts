// What PostgREST's documentation says of requests, a line each, as far as the other files do not try it already.
//
// https://docs.postgrest.org/en/v14/references/api.html

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { TestEngine, type Ask, type Answer } from './support/engine.ts'

const workshop = readFileSync(new URL('fixtures/workshop.sql', import.meta.url), 'utf8')

let engine: TestEngine
before(async () => {
  engine = await TestEngine.start(
    {
      dbAggregatesEnabled: true,
      dbPlanEnabled: true,
      serverTimingEnabled: true,
      serverTraceHeader: 'X-Trace',
      appSettings: { 'app.settings.region': 'eu' },
      dbTxEnd: 'commit-allow-override',
    },
    workshop,
  )
})
after(() => engine?.[Symbol.asyncDispose]())

const codeOf = ({ json }: Answer): string => (json as { code: string } | undefined)?.code ?? ''

type Read = readonly [line: string, path: string, expected: unknown, headers?: Record<string, string>]
const reads = (cases: readonly Read[]): void => {
  for (const [line, path, expected, headers = {}] of cases) {
    test(`${line}: ${path}`, async () => {
      const answer = await engine.ask(path, { headers })
      assert.ok(answer.status < 300, answer.text)
      assert.deepEqual(answer.json, expected)
    })
  }
}
type Refusal = readonly [line: string, path: string, status: number, expected: Record<string, unknown>, ask?: Ask]
const refuses = (cases: readonly Refusal[]): void => {
  for (const [line, path, status, expected, asked = {}] of cases) {
    test(`${line}: ${path}`, async () => {
      const answer = await engine.ask(path, asked)
      assert.equal(answer.status, status, answer.text)
      const body = answer.json as Record<string, unknown>
      assert.deepEqual(Object.keys(body), ['code', 'details', 'hint', 'message'])
      assert.deepEqual({ ...body, ...expected }, body)
    })
  }
}
const labels = (...all: string[]): { label: string }[] => all.map((label) => ({ label }))

describe('conditions', () => {
  reads([
    ['greater or equal, repeated', '/tools?select=label&price=gte.10&price=lte.15', labels('saw')],
    ['true', '/tools?select=label&sold=is.true', labels('saw')],
    ['unknown', '/tools?select=label&sold=is.unknown', labels('nail')],
    ['whatever the case', '/tools?select=label&sold=is.NULL', labels('nail')],
    ['strictly left', '/shops?select=name&open=sl.[5,9)', [{ name: 'North' }]],
    ['strictly right', '/shops?select=name&open=sr.[1,5)', [{ name: 'South' }]],
    ['not right of', '/shops?select=name&open=nxr.[1,5)', [{ name: 'North' }]],
    ['not left of', '/shops?select=name&open=nxl.[5,9)', [{ name: 'South' }]],
    ['adjacent', '/shops?select=name&open=adj.[9,10)', [{ name: 'South' }]],
    ['a range has it', '/shops?select=name&open=cs.[2,3)', [{ name: 'North' }]],
    ['a vector', '/shops?select=name&words=fts.hammer', [{ name: 'North' }]],
    ['words', '/shops?select=name&words=plfts(english).the big', [{ name: 'North' }]],
    ['a phrase', '/shops?select=name&words=phfts(english).big hammers', [{ name: 'North' }]],
    ['a phrase that is not there', '/shops?select=name&words=phfts(english).hammer big', []],
    ['a composite', '/shops?select=name&place->>street=eq.Side', [{ name: 'South' }]],
    ['all of them', '/tools?select=label&price=gt(all).{1,5}&order=id', labels('saw', 'axe')],
    ['what follows a tree is ignored', '/tools?select=label&or=(label.eq.saw,label.eq.nail)xyz', labels('saw', 'nail')],
    ['blanks in a tree', '/tools?select=label&or=( label.eq.saw, label.eq.nail)', labels('saw', 'nail')],
    [
      'arrays in a tree',
      '/clubs?select=name&or=(tags.cs.{a,b},name.eq.Gamma)&order=id',
      [{ name: 'Alpha' }, { name: 'Gamma' }],
    ],
    ['NUL is no part of it', '/tools?select=label&label=eq.sa%00w', labels('saw')],
    ['of a representation', '/shops?select=name&paint=eq.%230000FF', [{ name: 'North' }]],
  ])
  refuses([
    [
      'of what is not selected',
      '/tools?select=label&shops.name=eq.x',
      400,
      {
        code: 'PGRST108',
        message: "'shops' is not an embedded resource in this request",
        hint: "Verify that 'shops' is included in the 'select' query parameter.",
      },
    ],
    ['of a relation', '/tools?select=label,shops(name)&shops=eq.x', 400, { code: 'PGRST120' }],
    [
      'a tree without anything',
      '/tools?or=()',
      400,
      {
        code: 'PGRST100',
        details:
          'unexpected ")" expecting field name (* or [a..z0..9_$]), negation operator (not) or logic operator (and, or)',
        message: '"failed to parse logic tree (())" (line 1, column 4)',
      },
    ],
    [
      'a tree that is none',
      '/tools?or=)(',
      400,
      {
        code: 'PGRST100',
        details: 'unexpected ")" expecting "("',
        message: '"failed to parse logic tree ()()" (line 1, column 3)',
      },
    ],
    [
      'a word that is misspelled',
      '/tools?and=(ord(id.eq.1,id.eq.1),id.eq.2)',
      400,
      {
        code: 'PGRST100',
        details: 'unexpected "d" expecting "("',
        message: '"failed to parse logic tree ((ord(id.eq.1,id.eq.1),id.eq.2))" (line 1, column 7)',
      },
    ],
    [
      'a list without parentheses',
      '/tools?or=(id.in.1,2,id.eq.3)',
      400,
      {
        code: 'PGRST100',
        details: 'unexpected "1" expecting "("',
        message: '"failed to parse logic tree ((id.in.1,2,id.eq.3))" (line 1, column 10)',
      },
    ],
    [
      'an operator that is none',
      '/tools?id=is.nil',
      400,
      {
        code: 'PGRST100',
        details: 'unexpected "n" expecting isVal: (null, not_null, true, false, unknown)',
        message: '"failed to parse filter (is.nil)" (line 1, column 4)',
      },
    ],
    [
      'an order that is none',
      '/tools?order=id.foo',
      400,
      { code: 'PGRST100', details: 'unexpected "f" expecting "asc", "desc", "nullsfirst" or "nullslast"' },
    ],
    [
      'a selection that is none',
      '/tools?select=a,,b',
      400,
      {
        code: 'PGRST100',
        details: 'unexpected "," expecting "...", field name (* or [a..z0..9_$]), "*" or "count()"',
        message: '"failed to parse select parameter (a,,b)" (line 1, column 3)',
      },
    ],
  ])
})

describe('what is selected', () => {
  reads([
    ['of a composite', '/shops?select=place->street,n:place->>number&name=eq.North', [{ street: 'Main', n: '7' }]],
    ['a cast, before and after', '/tools?select=price::integer.sum()::text', [{ sum: '31' }]],
    [
      'groups',
      '/tools?select=region,count(),price.max()&order=region',
      [
        { region: 'n', count: 2, max: 20 },
        { region: 's', count: 1, max: 1 },
      ],
    ],
    ['a representation', '/shops?select=name,paint&name=eq.South', [{ name: 'South', paint: '#00FF00' }]],
    [
      'a representation within all',
      '/shops?select=*&name=eq.South',
      [
        {
          region: 's',
          number: 1,
          name: 'South',
          place: { street: 'Side', number: 2 },
          open: '[5,9)',
          words: "'nail':2 'small':1",
          paint: '#00FF00',
        },
      ],
    ],
    [
      'a representation that is embedded',
      '/tools?select=label,shops(paint)&label=eq.saw',
      [{ label: 'saw', shops: { paint: '#0000FF' } }],
    ],
    [
      'by a key of several columns',
      '/tools?select=label,shops(name)&label=eq.nail',
      [{ label: 'nail', shops: { name: 'South' } }],
    ],
    [
      'left',
      '/tools?select=label,shops!left(name)&shops.name=eq.South&order=id',
      [
        { label: 'saw', shops: null },
        { label: 'axe', shops: null },
        { label: 'nail', shops: { name: 'South' } },
      ],
    ],
    [
      'a hint and a join',
      '/tools?select=label,shops!tools_region_shop_fkey!inner(name)&shops.name=eq.South',
      [{ label: 'nail', shops: { name: 'South' } }],
    ],
    ['spread', '/tools?select=label,...shops(shop_name:name)&label=eq.saw', [{ label: 'saw', shop_name: 'North' }]],
    [
      'spread of many',
      '/shops?select=name,...tools(label,price)&tools.order=price.desc&name=eq.North',
      [{ name: 'North', label: ['axe', 'saw'], price: [20, 10] }],
    ],
    [
      'spread in a spread',
      '/passports?select=number,...members(name,...clubs(club:name))&number=eq.A1',
      [{ number: 'A1', name: 'Ada', club: 'Alpha' }],
    ],
    [
      'computed, to one',
      '/shops?select=name,last_tool(label)&order=name',
      [
        { name: 'North', last_tool: { label: 'axe' } },
        { name: 'South', last_tool: { label: 'nail' } },
      ],
    ],
    [
      'a view that is stored',
      '/shop_names?select=name,tools(label)&tools.order=id&name=eq.North',
      [{ name: 'North', tools: labels('saw', 'axe') }],
    ],
    ['partitions by their parent', '/visits?select=id,day', [{ id: 1, day: '2020-02-02' }]],
    [
      'through a junction that is named',
      '/teams?select=title,members!team_members(name)&id=eq.2',
      [{ title: 'Blue', members: [{ name: 'Bob' }] }],
    ],
    [
      'aggregates within',
      '/shops?select=name,tools(price.sum())&order=name',
      [
        { name: 'North', tools: [{ sum: 30 }] },
        { name: 'South', tools: [{ sum: 1 }] },
      ],
    ],
    [
      'aggregates through a spread',
      '/tools?select=...shops(name),price.sum()&region=eq.n',
      [{ name: 'North', sum: 30 }],
    ],
  ])
  refuses([
    [
      'which of several',
      '/matches?select=teams(title)',
      300,
      {
        code: 'PGRST201',
        message: "Could not embed because more than one relationship was found for 'matches' and 'teams'",
      },
    ],
    [
      'none',
      '/tools?select=label,clubs(name)',
      400,
      {
        code: 'PGRST200',
        details:
          "Searched for a foreign key relationship between 'tools' and 'clubs' in the schema 'public', but no matches were found.",
      },
    ],
    [
      'none of this hint',
      '/tools?select=label,shops!nope(name)',
      400,
      {
        code: 'PGRST200',
        details:
          "Searched for a foreign key relationship between 'tools' and 'shops' using the hint 'nope' in the schema 'public', but no matches were found.",
      },
    ],
    ['ordered by many', '/shops?select=name,tools(label)&order=tools(label)', 400, { code: 'PGRST118' }],
    ['aggregates in a spread of many', '/shops?select=name,...tools(price.sum())', 400, { code: 'PGRST127' }],
    ['a partition', '/visits_2020', 404, { code: 'PGRST205' }],
  ])
})

describe('calls', () => {
  const post = (path: string, body: unknown, type?: string): Promise<Answer> =>
    engine.ask(path, { method: 'POST', body, headers: type === undefined ? {} : { 'content-type': type } })
  reads([
    ['a literal of an array', '/rpc/sum_of?numbers={1,2,3}', 6],
    ['a composite', '/rpc/street_of?a=(Main,7)', 'Main'],
    ['nothing', '/rpc/nobody', null],
    ['a table', '/rpc/rows_of?n=2&select=t&order=i.desc', [{ t: 'r2' }, { t: 'r1' }]],
    [
      'conditions beside arguments',
      '/rpc/rows_of?n=5&i=gt.3',
      [
        { i: 4, t: 'r4' },
        { i: 5, t: 'r5' },
      ],
    ],
    [
      'a row',
      '/rpc/first_shop?select=name,tools(label)&tools.order=id',
      { name: 'North', tools: labels('saw', 'axe') },
    ],
    ['settings of its own', '/rpc/patience', '7s'],
    [
      'what it may know',
      '/rpc/settings',
      {
        method: 'GET',
        path: '/rpc/settings',
        agent: 'me',
        cookie: 'sweet',
        noCookie: null,
        app: 'eu',
        timezone: 'America/Lima',
        'path of names': '"public"',
      },
      { 'x-agent': 'me', cookie: 'a=1; flavor=sweet', prefer: 'timezone=America/Lima' },
    ],
  ])
  test('bodies as they are', async () => {
    assert.deepEqual((await post('/rpc/raw_json', { a: [1, { b: 2 }] })).json, { a: [1, { b: 2 }] })
    assert.equal((await post('/rpc/raw_text', 'hello', 'text/plain')).json, 'got hello')
    assert.equal((await post('/rpc/raw_bytes', 'abc', 'application/octet-stream')).json, 3)
    assert.equal((await post('/rpc/street_of', { a: { street: 'X', number: 1 } })).json, 'X')
    assert.equal((await post('/rpc/sum_of', { numbers: [4, 5] })).json, 9)
    assert.deepEqual((await post('/rpc/rows_of?i=eq.2&select=t', { n: 3 })).json, [{ t: 'r2' }])
    assert.equal((await post('/rpc/sum_of?columns=numbers', { numbers: [1], other: 2 })).json, 1)
  })
  refuses([
    [
      'which of several',
      '/rpc/over?a=1',
      300,
      {
        code: 'PGRST203',
        message:
          'Could not choose the best candidate function between: public.over(a => integer), public.over(a => text)',
      },
    ],
    [
      'a name that is like another',
      '/rpc/patiance',
      404,
      { code: 'PGRST202', hint: 'Perhaps you meant to call the function public.patience' },
    ],
    [
      'other arguments',
      '/rpc/rows_of?m=1',
      404,
      {
        code: 'PGRST202',
        message: 'Could not find the function public.rows_of(m) in the schema cache',
        hint: 'Perhaps you meant to call the function public.rows_of(n)',
      },
    ],
    ['by another method', '/rpc/over', 405, { code: 'PGRST101' }, { method: 'DELETE' }],
    [
      'affected by a call of one row',
      '/rpc/first_shop',
      400,
      { code: 'PGRST128' },
      { method: 'POST', body: {}, headers: { prefer: 'handling=strict,max-affected=1' } },
    ],
  ])
  test('as many as are allowed are affected', async () => {
    const headers = { prefer: 'handling=strict,max-affected=1' }
    assert.equal((await engine.ask('/rpc/delete_them', { method: 'POST', body: {}, headers })).status, 200)
    const many = await engine.ask('/rpc/rows_of', { method: 'POST', body: { n: 2 }, headers })
    assert.deepEqual([many.status, codeOf(many)], [400, 'PGRST124'])
  })
})

describe('writes', () => {
  const back = { prefer: 'return=representation, tx=rollback' }
  const write = (
    method: string,
    path: string,
    body: unknown,
    headers: Record<string, string> = back,
  ): Promise<Answer> => engine.ask(path, { method, body, headers })
  test('representations in bodies and in what comes back', async () => {
    const shop = { region: 'x', number: 1, name: 'X', paint: '#FF0000' }
    assert.deepEqual((await write('POST', '/shops?select=paint', shop)).json, [{ paint: '#FF0000' }])
    const all = (await write('POST', '/shops', shop)).json as { paint: string }[]
    assert.equal(all[0]?.paint, '#FF0000')
    assert.deepEqual((await write('PATCH', '/shops?name=eq.North&select=paint', { paint: '#000001' })).json, [
      { paint: '#000001' },
    ])
  })
  test('what is always generated cannot be given', async () => {
    assert.deepEqual(
      [
        (await write('POST', '/tools', { id: 9, label: 'x' })).status,
        codeOf(await write('POST', '/tools', { id: 9, label: 'x' })),
      ],
      [400, '428C9'],
    )
    assert.equal(codeOf(await write('POST', '/tools', { code: 'X', label: 'x' })), '428C9')
    assert.deepEqual((await write('POST', '/tools?select=code,price', { label: 'x' })).json, [{ code: 'X', price: 5 }])
  })
  test('defaults for what is missing, in an update as well', async () => {
    const missing = { prefer: 'return=representation, missing=default, tx=rollback' }
    const changed = await write(
      'PATCH',
      '/tools?label=eq.axe&columns=price&select=price',
      { label: 'ignored' },
      missing,
    )
    assert.deepEqual(
      [changed.json, changed.headers.get('preference-applied')],
      [[{ price: 5 }], 'missing=default, return=representation, tx=rollback'],
    )
    const rows = await write(
      'POST',
      '/tools?columns=label,price&select=label,price',
      [{ label: 'a' }, { label: 'b', price: 7 }],
      missing,
    )
    assert.deepEqual(rows.json, [
      { label: 'a', price: 5 },
      { label: 'b', price: 7 },
    ])
  })
  test('rows without anything', async () => {
    const rows = await write('POST', '/keyless', [{}, {}])
    assert.deepEqual(
      [rows.status, rows.json],
      [
        201,
        [
          { a: null, b: null },
          { a: null, b: null },
        ],
      ],
    )
  })
  test('columns that are not there, keys that there are none of', async () => {
    assert.equal(codeOf(await write('POST', '/tools?columns=label,nope', { label: 'x' })), 'PGRST204')
    const plain = await write(
      'POST',
      '/keyless',
      { a: 1 },
      { prefer: 'resolution=merge-duplicates, return=representation, tx=rollback' },
    )
    assert.deepEqual(
      [plain.status, plain.headers.get('preference-applied')],
      [201, 'return=representation, tx=rollback'],
    )
    assert.equal((await write('PUT', '/keyless?a=eq.1', { a: 1 })).status, 405)
  })
  test('limits do not limit writes, conditions do', async () => {
    const removed = await write('DELETE', '/keyless?limit=1', undefined, {
      prefer: 'return=representation, tx=rollback, count=exact',
    })
    assert.equal(removed.headers.get('content-range'), '*/0')
    const changed = await write('PATCH', '/tools?region=eq.n&limit=1&select=label&order=label', { price: 1 })
    assert.deepEqual(changed.json, labels('axe', 'saw'))
    assert.equal(changed.headers.get('content-range'), '0-1/*')
  })
  test('where one row was made is told', async () => {
    const made = await write(
      'POST',
      '/shops',
      { region: 'a b', number: 2 },
      { prefer: 'return=headers-only, tx=rollback' },
    )
    assert.deepEqual(
      [made.status, made.headers.get('location'), made.text],
      [201, '/shops?region=eq.a%20b&number=eq.2', ''],
    )
    assert.equal(
      (await write('POST', '/keyless', { a: 1 }, { prefer: 'return=headers-only, tx=rollback' })).headers.get(
        'location',
      ),
      null,
    )
  })
  test('in another schema by its profile', async () => {
    await using two = await TestEngine.start(
      { dbSchemas: ['public', 'other'] },
      'grant insert on other.things to anonymous;',
    )
    const headers = { 'content-profile': 'other', prefer: 'return=representation' }
    const made = await two.ask('/things', { method: 'POST', body: { id: 5 }, headers })
    assert.deepEqual(
      [made.status, made.json, made.headers.get('content-profile')],
      [201, [{ id: 5, label: null }], 'other'],
    )
    const none = await two.ask('/things', { method: 'POST', body: { id: 6 }, headers: { 'accept-profile': 'other' } })
    assert.equal(codeOf(none), 'PGRST205')
  })
})

describe('media types', () => {
  const accept = (type: string, path: string, ask: Ask = {}): Promise<Answer> =>
    engine.ask(path, { ...ask, headers: { accept: type } })
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
    assert.deepEqual((await engine.ask('/tools?label=eq.planned')).json, [])
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

describe('what is told beside', () => {
  test('where it lies, in an order of its own', async () => {
    const read = await engine.ask('/tools?select=label&id=eq.1&a%C3%A4=is.null'.replace('&a%C3%A4=is.null', ''))
    assert.equal(read.headers.get('content-location'), '/tools?id=eq.1&select=label')
  })
  test('what may be done', async () => {
    const allowed = async (path: string): Promise<string | null> =>
      (await engine.ask(path, { method: 'OPTIONS' })).headers.get('allow')
    assert.equal(await allowed('/tools'), 'OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE')
    assert.equal(await allowed('/keyless'), 'OPTIONS,GET,HEAD,POST,PATCH,DELETE')
    assert.equal(await allowed('/shop_names'), 'OPTIONS,GET,HEAD')
    assert.equal(await allowed('/rpc/patience'), 'OPTIONS,GET,HEAD,POST')
    assert.equal(await allowed('/rpc/raise_it'), 'OPTIONS,POST')
    assert.equal(await allowed('/'), 'OPTIONS,GET,HEAD')
  })
  test('pages of other origins', async () => {
    const headers = {
      origin: 'https://a.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'prefer, x-client-info',
    }
    const preflight = await engine.ask('/tools', { method: 'OPTIONS', headers })
    assert.equal(preflight.status, 200)
    assert.equal(preflight.headers.get('access-control-allow-origin'), '*')
    assert.equal(preflight.headers.get('access-control-allow-methods'), 'GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD')
    assert.equal(
      preflight.headers.get('access-control-allow-headers'),
      'Authorization, prefer, x-client-info, Accept, Accept-Language, Content-Language',
    )
    assert.equal(preflight.headers.get('access-control-max-age'), '86400')
    const read = await engine.ask('/tools', { headers: { origin: 'https://a.example' } })
    assert.match(read.headers.get('access-control-expose-headers') ?? '', /Content-Range/)
    assert.equal((await engine.ask('/tools')).headers.get('access-control-allow-origin'), null)
  })
  test('how long it took, and whose it is', async () => {
    const read = await engine.ask('/tools', { headers: { 'x-trace': 'abc' } })
    assert.match(
      read.headers.get('server-timing') ?? '',
      /^jwt;dur=[\d.]+, parse;dur=[\d.]+, plan;dur=[\d.]+, transaction;dur=[\d.]+, response;dur=[\d.]+$/,
    )
    assert.equal(read.headers.get('x-trace'), 'abc')
  })
  test('HEAD is GET without its body', async () => {
    const head = await engine.ask('/tools', { method: 'HEAD', headers: { prefer: 'count=exact' } })
    assert.deepEqual([head.status, head.text, head.headers.get('content-range')], [200, '', '0-2/3'])
    assert.equal((await engine.ask('/nope', { method: 'HEAD' })).status, 404)
  })
  test('preferences that were kept to, in their order', async () => {
    const prefer =
      'count=exact, handling=lenient, timezone=Europe/Paris, resolution=merge-duplicates, missing=default, return=representation, tx=rollback'
    const made = await engine.ask('/tools?on_conflict=id&columns=label', {
      method: 'POST',
      body: [{ label: 'p' }],
      headers: { prefer },
    })
    assert.equal(made.status, 201, made.text)
    assert.equal(
      made.headers.get('preference-applied'),
      'resolution=merge-duplicates, missing=default, return=representation, count=exact, tx=rollback, handling=lenient, timezone=Europe/Paris',
    )
  })
  test('estimates', async () => {
    const few = await engine.ask('/tools', { headers: { prefer: 'count=estimated' } })
    assert.equal(few.headers.get('content-range'), '0-2/3')
    assert.equal((await engine.ask('/tools', { headers: { range: 'nonsense' } })).status, 200)
    const zone = await engine.ask('/tools', { headers: { prefer: 'handling=strict, timezone=Nowhere' } })
    assert.deepEqual([zone.status, codeOf(zone)], [400, 'PGRST122'])
  })
})

// https://docs.postgrest.org/en/v14/references/errors.html#http-status-codes
test('what Postgres refuses has the status that it is given', async () => {
  const statuses: Readonly<Record<string, number>> = {
    '08006': 503,
    '0L000': 403,
    '0P000': 403,
    '22000': 400,
    '23502': 400,
    '23503': 409,
    '23505': 409,
    '25000': 500,
    '25006': 405,
    '28000': 403,
    '38000': 500,
    '39000': 500,
    '3B000': 500,
    '40001': 500,
    '42883': 404,
    '42P01': 404,
    '42P17': 500,
    '53000': 503,
    '53400': 500,
    '54000': 500,
    '55000': 500,
    '57000': 500,
    '57P01': 503,
    '58000': 500,
    F0000: 500,
    HV000: 500,
    P0000: 500,
    P0001: 400,
    XX000: 500,
    PT404: 404,
    '42501': 401,
    '21000': 500,
  }
  for (const [code, status] of Object.entries(statuses)) {
    const answer = await engine.ask('/rpc/raise_it', { method: 'POST', body: { code } })
    assert.deepEqual([code, answer.status, codeOf(answer)], [code, status, code])
  }
  const safe = { code: '21000', message: 'UPDATE requires a WHERE clause' }
  assert.equal((await engine.ask('/rpc/raise_it', { method: 'POST', body: safe })).status, 400)
  assert.equal(
    (await engine.ask('/rpc/raise_it', { method: 'POST', body: { code: '42501' }, as: { role: 'authenticated' } }))
      .status,
    403,
  )
})
