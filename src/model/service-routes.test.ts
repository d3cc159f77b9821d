import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { serviceRouteOf } from './service-routes.ts'

const domains = ['db.test', 'db.localhost']
const route = (host: string | undefined, target: string): string => {
  const found = serviceRouteOf(host, target, domains)
  if (!found) return 'control'
  if (found.surface === 'none') return 'none'
  if (found.surface === 'stack') return `stack ${found.path}`
  const database = found.database ?? '-'
  return `${found.surface === 'rest' ? 'rest ' : ''}${found.endpointId} ${database} ${found.path}`
}

test('a request names its integration by host or path, and its surface by what follows', () => {
  const named = 'ep-cool-art-123.neonauth.db.test'
  const table: [host: string | undefined, target: string, expected: string][] = [
    [named, '/neondb/auth', 'ep-cool-art-123 neondb /'],
    [named, '/neondb/auth/', 'ep-cool-art-123 neondb /'],
    [named, '/neondb/auth/sign-in/email?x=/../1', 'ep-cool-art-123 neondb /sign-in/email?x=/../1'],
    [`${named.toUpperCase()}:4400`, '/neondb/auth/token', 'ep-cool-art-123 neondb /token'],
    [`${named}.`, '/neondb/auth/token', 'ep-cool-art-123 neondb /token'],
    ['ep-a.neonauth.db.localhost', '/my%20db/auth/ok', 'ep-a my db /ok'],
    [named, '/.well-known/jwks.json', 'ep-cool-art-123 - /.well-known/jwks.json'],
    ['127.0.0.1:4400', '/ep-cool-art-123/neondb/auth/ok', 'ep-cool-art-123 neondb /ok'],
    [undefined, '/ep-cool-art-123/neondb/auth', 'ep-cool-art-123 neondb /'],
    ['127.0.0.1', '/ep-a/a%2Fb/auth/ok', 'ep-a a/b /ok'],
    ['127.0.0.1', '/ep-a/%C3%A9t%C3%A9/auth/ok', 'ep-a été /ok'],
    ['127.0.0.1', '/ep-a/auth/auth/auth/x', 'ep-a auth /auth/x'],
    ['ep-a.apirest.db.test', '/neondb/rest/v1/items?id=eq.1', 'rest ep-a neondb /items?id=eq.1'],
    ['ep-a.apirest.db.test', '/neondb/rest/v1', 'rest ep-a neondb /'],
    ['127.0.0.1:4400', '/ep-a/my%20db/rest/v1/rpc/f', 'rest ep-a my db /rpc/f'],
    ['127.0.0.1', '/ep-a/rest/rest/v1/auth', 'rest ep-a rest /auth'],
    ['ep-a.apirest.db.test', '/neondb/auth/ok', 'none'],
    ['ep-a.apirest.db.test', '/.well-known/jwks.json', 'none'],
    ['127.0.0.1', '/api/v1', 'stack /'],
    ['127.0.0.1', '/api/v1/users/me?a=b', 'stack /users/me?a=b'],
    ['db.test', '/api/v1/users', 'stack /users'],
  ]
  for (const [host, target, expected] of table) assert.equal(route(host, target), expected, `${host} ${target}`)
})

test('everything else goes on to control as before', () => {
  const table: [host: string | undefined, target: string][] = [
    ['127.0.0.1', '/'],
    ['127.0.0.1', '/api/v2/projects/auth/create'],
    ['127.0.0.1', '/api/v11/users'],
    ['127.0.0.1', '/API/v1/users'],
    ['127.0.0.1', '/ep-a/neondb/rest'],
    ['127.0.0.1', '/ep-a/neondb/rest/v2/items'],
    ['127.0.0.1', '/ep-a/neondb/rest/v11'],
    ['127.0.0.1', '/ep-a/rest/v1'],
    ['127.0.0.1', '/ep-a/auth'],
    ['127.0.0.1', '/ep-a/x/y/auth'],
    ['127.0.0.1', '/EP-a/neondb/auth'],
    ['127.0.0.1', '/br-a/neondb/auth/ok'],
    ['127.0.0.1', '/ep-a.b/neondb/auth/ok'],
    ['127.0.0.1', '//ep-a/neondb/auth/ok'],
    ['127.0.0.1', '/ep-a//auth/ok'],
    ['127.0.0.1', '/ep-a/neondb/authx'],
    ['127.0.0.1', '/ep-a/%/auth/ok'],
    ['127.0.0.1', '/ep-a/%ff/auth/ok'],
    ['127.0.0.1', '/ep-a/%00/auth/ok'],
    ['127.0.0.1', `/ep-a/${'d'.repeat(64)}/auth/ok`],
    ['127.0.0.1', '/ep-a/../auth/ok'],
    ['127.0.0.1', '/ep-a/%2e%2E/auth/ok'],
    ['127.0.0.1', '/x/../api/v1/users'],
    ['127.0.0.1', 'http://127.0.0.1/api/v1/users'],
    ['127.0.0.1', '*'],
    ['127.0.0.1', ''],
    ['ep-a.neonauth.evil.test', '/neondb/auth/ok'],
    ['ep-a.neonauth.x.db.test', '/neondb/auth/ok'],
    ['x.ep-a.neonauth.db.test', '/neondb/auth/ok'],
    ['a.neonauth.db.test', '/neondb/auth/ok'],
    ['neonauth.db.test', '/neondb/auth/ok'],
    ['ep-a.constructor.db.test', '/neondb/auth/ok'],
    ['ep-a.db.test', '/neondb/auth/ok'],
    ['ep-a.neonauth.db.test@evil', '/neondb/auth/ok'],
  ]
  for (const [host, target] of table) assert.equal(route(host, target), 'control', `${host} ${target}`)
})

test('what would lead out of its surface leads nowhere', () => {
  for (const below of [
    '/..',
    '/../x',
    '/x/..',
    '/.',
    '/%2e%2E/x',
    '/.%2e/x',
    '/a/%2E',
    '/..\\x',
    '/a\\..\\b',
    '/a\tb',
  ]) {
    assert.equal(route('127.0.0.1', `/ep-a/neondb/auth${below}`), 'none', below)
    assert.equal(route('ep-a.neonauth.db.test', `/neondb/auth${below}`), 'none', below)
    assert.equal(route('127.0.0.1', `/api/v1${below}`), 'none', below)
  }
})

test("an endpoint's host of sign-in serves nothing else", () => {
  for (const target of [
    '/api/v2/projects',
    '/api/v1/users',
    '/',
    '/sql',
    '/ep-b/neondb/auth/ok',
    '/neondb/auth2',
    'http://x/',
  ])
    assert.equal(route('ep-a.neonauth.db.test', target), 'none', target)
})

test('whatever is asked for, a URL made of it stays below its root', () => {
  const segment = fc.oneof(
    fc.constantFrom('..', '.', '%2e', '%2E%2e', 'auth', 'neondb', 'api', 'v1', 'ep-a', '\\', '%2f', '', ' ', '\t', 'x'),
    fc.string({ maxLength: 6 }),
  )
  fc.assert(
    fc.property(
      fc.constantFrom('/ep-a/neondb/auth', '/api/v1', '/neondb/auth', ''),
      fc.array(segment, { maxLength: 6 }),
      fc.constantFrom('127.0.0.1', 'ep-a.neonauth.db.test'),
      (root, segments, host) => {
        const found = serviceRouteOf(host, [root, ...segments].join('/'), domains)
        if (!found || found.surface === 'none') return
        const url = new URL(`http://here.test/root/of/it${found.path}`)
        assert.equal(url.host, 'here.test')
        assert.ok(`${url.pathname}/`.startsWith('/root/of/it/'), `${found.path} became ${url.pathname}`)
      },
    ),
    { numRuns: 2000 },
  )
})
