import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readConfig } from '../config.ts'
import { isAppError } from '../model/errors.ts'

test('a stand-in for providers of OAuth is for this machine alone, and can be switched off', () => {
  const table: [env: Record<string, string>, has: boolean][] = [
    [{}, true],
    [{ PGROVE_HTTP_HOST: '127.0.0.1' }, true],
    [{ PGROVE_HTTP_HOST: '::1' }, true],
    [{ PGROVE_HTTP_HOST: 'localhost' }, true],
    [{ PGROVE_HTTP_HOST: '0.0.0.0' }, false],
    [{ PGROVE_HTTP_HOST: '127.0.0.1.example.com' }, false],
    [{ PGROVE_HTTP_HOST: '10.0.0.1', PGROVE_DEV_IDP: 'auto' }, false],
    [{ PGROVE_DEV_IDP: 'off' }, false],
  ]
  for (const [env, has] of table) assert.equal(readConfig(env).hasDevelopmentProvider, has, JSON.stringify(env))
  assert.throws(() => readConfig({ PGROVE_DEV_IDP: 'on' }), /PGROVE_DEV_IDP/)
})

test('trusted proxies are addresses and networks, and nobody by default', () => {
  assert.deepEqual(readConfig({}).trustedProxies, [])
  assert.deepEqual(readConfig({ PGROVE_TRUSTED_PROXIES: ' 10.0.0.7, fd00::/8,' }).trustedProxies, [
    '10.0.0.7',
    'fd00::/8',
  ])
  for (const text of ['nginx', '10.0.0.0/40', '10.0.0.1;10.0.0.2', '*']) {
    assert.throws(
      () => readConfig({ PGROVE_TRUSTED_PROXIES: text }),
      (error) => isAppError(error, 'config_invalid') && error.message.includes('PGROVE_TRUSTED_PROXIES'),
      text,
    )
  }
})
