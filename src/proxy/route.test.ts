import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { StartupParameter } from '../pgwire/startup-packet.ts'
import { Refusal } from './refusal.ts'
import { routeByPassword, routeByStartup, withoutRouting } from './route.ts'

const domains = ['db.example.test', 'localhost']
const options = (value: string): StartupParameter[] => [['options', value]]

const routes: [serverName: string | undefined, options: string | undefined, expected: string][] = [
  ['ep-a-1.db.example.test', undefined, 'ep-a-1'],
  ['EP-A-1.DB.Example.Test', undefined, 'ep-a-1'],
  ['ep-a-1.db.example.test.', undefined, 'ep-a-1'],
  ['ep-a-1.localhost', undefined, 'ep-a-1'],
  ['ep-a-1-pooler.db.example.test', undefined, 'ep-a-1 pooled'],
  [undefined, 'endpoint=ep-a-1', 'ep-a-1'],
  [undefined, 'project=ep-a-1', 'ep-a-1'],
  [undefined, '-c x=y  endpoint=ep-a-1-pooler\t-c z', 'ep-a-1 pooled'],
  [undefined, '-pooler', 'ask'],
  [undefined, 'endpoint=-pooler', '-pooler'],
  ['ep-a-1.db.example.test', 'endpoint=ep-a-1', 'ep-a-1'],
  ['ep-a-1.db.example.test', 'endpoint=ep-a-1-pooler', 'ep-a-1 pooled'],
  ['ep-a-1.elsewhere.test', 'endpoint=ep-b-2', 'ep-b-2'],
  ['ep-a-1.x.db.example.test', undefined, 'ask'],
  ['ep-a-1.elsewhere.test', undefined, 'ask'],
  ['db.example.test', undefined, 'ask'],
  ['localhost', undefined, 'ask'],
  ['.localhost', undefined, 'ask'],
  ['api.db.example.test', undefined, 'ask'],
  ['apiauth.db.example.test', undefined, 'ask'],
  [undefined, 'endpoint=a endpoint=b', 'ask'],
  [undefined, undefined, 'ask'],
  [
    'ep-a-1.db.example.test',
    'endpoint=ep-b-2',
    "Inconsistent project name inferred from SNI ('ep-a-1') and project option ('ep-b-2').",
  ],
  [undefined, 'endpoint=', "Project name ('') must contain only alphanumeric characters and hyphen."],
  [undefined, 'endpoint=a/../b', "Project name ('a/../b') must contain only alphanumeric characters and hyphen."],
  ['ep_a.db.example.test', undefined, "Project name ('ep_a') must contain only alphanumeric characters and hyphen."],
]

for (const [serverName, value, expected] of routes) {
  test(`${serverName ?? 'no name'} with ${value ?? 'no options'}: ${expected}`, () => {
    let got: string
    try {
      const route = routeByStartup(serverName, value === undefined ? [] : options(value), domains)
      got = route ? `${route.endpointId}${route.pooled ? ' pooled' : ''}` : 'ask'
    } catch (error) {
      assert.ok(error instanceof Refusal)
      got = error.message
    }
    assert.equal(got, expected)
  })
}

test('a password names the endpoint, and the rest is the password as it stands', () => {
  const read = (text: string): string[] => {
    const { route, password } = routeByPassword(text)
    return [route.endpointId, String(route.pooled), password]
  }
  assert.deepEqual(read('endpoint=ep-a;secret'), ['ep-a', 'false', 'secret'])
  assert.deepEqual(read('endpoint=ep-a$se;cr$et'), ['ep-a', 'false', 'se;cr$et'])
  assert.deepEqual(read('project=ep-a-pooler;'), ['ep-a', 'true', ''])
  for (const text of ['', 'secret', 'endpoint=ep-a', ' endpoint=ep-a;x']) {
    assert.throws(() => routeByPassword(text), /^Refusal: Endpoint ID is not specified/)
  }
})

test('what is meant for us is taken out of the options, all else stays byte for byte', () => {
  const rewritten = (value: string): string | undefined => withoutRouting(options(value))[0]?.[1]
  assert.equal(rewritten('endpoint=a'), undefined)
  assert.equal(rewritten('-c a=b\\ c   -c  d=e'), '-c a=b\\ c   -c  d=e')
  assert.equal(rewritten('-c a=b\\ c endpoint=x neon_lsn:0/1 project=y -d'), '-c a=b\\ c -d')
  assert.equal(rewritten('neon_proxy_params_compat:true'), undefined)
  assert.deepEqual(withoutRouting([['user', 'endpoint=a']]), [['user', 'endpoint=a']])
})

test('routing any text ends in a route, a question or a refusal', () => {
  fc.assert(
    fc.property(fc.option(fc.string(), { nil: undefined }), fc.string({ unit: 'binary' }), (serverName, value) => {
      for (const run of [
        () => routeByStartup(serverName, options(`${value} endpoint=${value}`), domains),
        () => routeByPassword(`endpoint=${value}`),
        () => withoutRouting(options(value)),
      ]) {
        try {
          run()
        } catch (error) {
          assert.ok(error instanceof Refusal)
        }
      }
    }),
  )
})
