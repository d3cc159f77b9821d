import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseConnectionString } from './connection-string.ts'
import { Refusal } from '../refusal.ts'
import { paramText } from './param-text.ts'
import { SqlHttpError } from './sql-answer.ts'
import { readSqlBody, readSqlHeaders } from './sql-request.ts'
import { valueJson } from './value-json.ts'

const domains = ['db.test']

/** Calls it, and lets through nothing but what is a 400. */
function only400(act: () => unknown): void {
  try {
    act()
  } catch (error) {
    if (error instanceof Refusal) return
    assert.ok(error instanceof SqlHttpError, String(error))
    assert.equal(error.status, 400)
  }
}

const uri = 'postgresql://ada:s%40crét%@ep-a-1.db.test/my%20db?sslmode=require'
const parse = (text: string, host?: string) => parseConnectionString(text, host, domains)

test('a connection string says who and where', () => {
  assert.deepEqual(parse(`${uri}&application_name=app&options=-c%20geqo%3Doff%20endpoint%3Dep-a-1`), {
    route: { endpointId: 'ep-a-1', pooled: false },
    user: 'ada',
    password: 's@crét%',
    parameters: [
      ['user', 'ada'],
      ['database', 'my db'],
      ['application_name', 'app'],
      ['options', '-c geqo=off'],
      ['client_encoding', 'UTF8'],
    ],
  })
})

test('an endpoint is found wherever it is named', () => {
  const endpoint = (text: string, host?: string): string => parse(text, host).route.endpointId
  const at = (host: string, query = ''): string => `postgres://u:p@${host}/d${query}`
  assert.equal(endpoint(at('EP-a-1.db.test:5432')), 'ep-a-1')
  assert.deepEqual(parse(at('ep-a-1-pooler.db.test')).route, { endpointId: 'ep-a-1', pooled: true })
  for (const host of ['localhost:5433', '127.0.0.1', '[::1]:5432', 'pgrove']) {
    assert.equal(endpoint(at(host, '?options=endpoint%3Dep-b')), 'ep-b')
    assert.equal(endpoint(at(host), 'ep-c.db.test:4400'), 'ep-c')
    assert.throws(() => endpoint(at(host)), /Endpoint ID is not specified/)
    assert.throws(() => endpoint(at(host), 'api.db.test'), /Endpoint ID is not specified/)
  }
  // Neon's own host, with `fetchEndpoint` pointed here.
  assert.equal(endpoint(at('ep-d.eu-central-1.aws.neon.tech'), 'localhost:4400'), 'ep-d')
  assert.equal(endpoint(at('ep-d'), 'localhost:4400'), 'ep-d')
  assert.throws(() => endpoint(at('ep-a-1.db.test', '?options=endpoint%3Dep-b')), /Inconsistent project name/)
  const { route, password } = parse('postgres://u:endpoint%3Dep-e%3Bsecret@localhost/d')
  assert.deepEqual([route.endpointId, password], ['ep-e', 'secret'])
  assert.equal(parse(at('ep-a.db.test', '?options=neon_lsn:0/2')).route.point, 'lsn:0/2')
})

test('what is no connection string is told why', () => {
  const cases: [string, RegExp][] = [
    ['nonsense', /invalid connection string/],
    ['mysql://u:p@ep-a.db.test/d', /incorrect scheme/],
    ['postgres://:p@ep-a.db.test/d', /missing username/],
    ['postgres://u:p@ep-a.db.test', /missing database name/],
    ['postgres://u:p@ep-a.db.test/', /missing database name/],
    ['postgres://u%ff:p@ep-a.db.test/d', /invalid username/],
    ['postgres://u:p@ep-a.db.test/d%00', /invalid database name/],
    ['postgres://u:p@/d', /invalid connection string/],
  ]
  for (const [text, message] of cases) {
    assert.throws(
      () => parse(text),
      (error) => error instanceof SqlHttpError && message.test(error.message),
      text,
    )
  }
})

test('headers', () => {
  const headers = { 'neon-connection-string': uri.replace('é', '%C3%A9') }
  assert.deepEqual(
    readSqlHeaders({
      ...headers,
      authorization: 'Bearer a.b.c',
      'neon-raw-text-output': 'true',
      'neon-array-mode': 'TRUE',
      'neon-batch-isolation-level': 'RepeatableRead',
      'neon-batch-read-only': 'true',
    }),
    {
      connectionString: headers['neon-connection-string'],
      token: 'a.b.c',
      rawText: true,
      arrayMode: false,
      transaction: { isolationLevel: 'RepeatableRead', readOnly: true, deferrable: false },
    },
  )
  assert.throws(() => readSqlHeaders({}), /invalid header: neon-connection-string/)
  assert.throws(() => readSqlHeaders({ ...headers, authorization: 'Basic x' }), /required authorization bearer token/)
  assert.throws(
    () => readSqlHeaders({ ...headers, 'neon-batch-isolation-level': 'serializable' }),
    /invalid isolation level/,
  )
})

test('bodies', () => {
  const read = (body: unknown): unknown => readSqlBody(Buffer.from(JSON.stringify(body)))
  assert.deepEqual(read({ query: 'x', params: [1, null] }), {
    kind: 'single',
    query: { query: 'x', params: ['1', null], arrayMode: undefined },
  })
  assert.deepEqual(read({ queries: [{ query: 'x', arrayMode: true }] }), {
    kind: 'batch',
    queries: [{ query: 'x', params: [], arrayMode: true }],
  })
  assert.deepEqual(read({ queries: [] }), { kind: 'batch', queries: [] })
  for (const body of [
    null,
    [],
    1,
    {},
    { query: 1 },
    { queries: [1] },
    { queries: {} },
    { query: 'a\0' },
    { query: 'x', params: {} },
  ]) {
    assert.throws(() => read(body), /could not parse the HTTP request body: /)
  }
  const deep = `{"query":"x","params":[${'['.repeat(2_000_000)}${']'.repeat(2_000_000)}]}`
  assert.throws(() => readSqlBody(Buffer.from(deep)), SqlHttpError)
})

test('numbers keep all their digits', () => {
  const body =
    '{"query":"12345678901234567890.10","params":[12345678901234567890, [0.1234567890123456789], {"a":[1e400]}]}'
  const { query } = readSqlBody(Buffer.from(body)) as { query: { params: string[] } }
  assert.deepEqual(query.params, ['12345678901234567890', '{0.1234567890123456789}', '{"a":[1e400]}'])
})

test('parameters become what Postgres reads', () => {
  const cases: [unknown, string | null][] = [
    [null, null],
    ['a"b', 'a"b'],
    [true, 'true'],
    [4.5, '4.5'],
    [{ a: [1, 'x'] }, '{"a":[1,"x"]}'],
    [[], '{}'],
    [[1, null, 'NULL', true, 'a"b\\c', ''], '{1,NULL,"NULL",true,"a\\"b\\\\c",""}'],
    [[[1], [2]], '{{1},{2}}'],
    [[{ foo: 1 }], '{"{\\"foo\\":1}"}'],
  ]
  for (const [value, text] of cases) assert.equal(paramText(value), text)
})

test('values become the JSON that is closest', () => {
  const cases: [string, number, unknown][] = [
    ['t', 16, true],
    ['42', 23, 42],
    ['42', 20, '42'],
    ['1e+20', 701, 1e20],
    ['NaN', 701, 'NaN'],
    ['-Infinity', 700, '-Infinity'],
    ['{"a": [1, "x"]}', 3802, { a: [1, 'x'] }],
    ['{}', 1007, []],
    ['[2:3]={1,NULL}', 1007, [1, null]],
    ['{{t,f},{t,NULL}}', 1000, [[true, false], [true, null]]], // prettier-ignore
    ['{a,"NULL","b,\\"c\\\\",""}', 1009, ['a', 'NULL', 'b,"c\\', '']],
    ['{"{\\"a\\":1}"}', 3807, [{ a: 1 }]],
    ['{(1,1),(0,0);(2,2),(1,1)}', 1020, ['(1,1),(0,0)', '(2,2),(1,1)']],
    ['1 2', 22, '1 2'],
    ['{x}', 99_999, '{x}'],
  ]
  for (const [value, type, expected] of cases) assert.deepEqual(JSON.parse(valueJson(value, type)), expected, value)
  for (const value of ['', '{', '{1', '{"', '{"\\', '{1}}', '{1}x', '[', '{1,', '{{1}']) {
    assert.throws(() => valueJson(value, 1009), /unbalanced array/, value)
  }
})

test('whatever is sent, the worst that comes of it is a 400', () => {
  const part = fc.oneof(fc.string(), fc.constantFrom('postgres://', 'u', ':', '@', '/', '%', '%00', '?options=', 'endpoint=', 'ep-a.db.test', '[::', '&')) // prettier-ignore
  const text = fc.array(part, { maxLength: 12 }).map((parts) => parts.join(''))
  fc.assert(
    fc.property(text, fc.option(text, { nil: undefined }), (string, host) => only400(() => parse(string, host))),
  )
  const headers = fc.dictionary(
    fc.constantFrom('neon-connection-string', 'authorization', 'neon-batch-isolation-level', 'neon-array-mode'),
    fc.oneof(text, fc.constantFrom('Bearer x', 'Serializable', 'toString', '__proto__')),
  )
  fc.assert(fc.property(headers, (given) => only400(() => readSqlHeaders(given))))
  const query = fc.record(
    { query: fc.anything(), params: fc.anything(), arrayMode: fc.anything() },
    { requiredKeys: [] },
  )
  const body = fc.oneof(fc.anything(), query, fc.record({ queries: fc.oneof(fc.array(query), fc.anything()) }))
  fc.assert(fc.property(body, (given) => only400(() => readSqlBody(Buffer.from(safeJson(given))))))
  fc.assert(fc.property(fc.uint8Array(), (bytes) => only400(() => readSqlBody(Buffer.from(bytes)))))
})

function safeJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? ''
  } catch {
    return '{'
  }
}

test('a text array that goes in as a parameter comes out as it was', () => {
  type Nested = (string | null)[]
  fc.assert(
    fc.property(fc.array(fc.option(fc.string({ unit: 'binary' }))), (values: Nested) => {
      assert.deepEqual(JSON.parse(valueJson(paramText(values) ?? '', 1009)), values)
    }),
  )
})
