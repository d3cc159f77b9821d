import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAppError } from '../model/errors.ts'
import { parseAuthOperator } from './auth-operator.ts'

test('shared credentials and a mail server are read', () => {
  const file = parseAuthOperator({
    oauth: {
      google: {
        client_id: 'id',
        client_secret: 'secret',
        issuer: 'http://127.0.0.1:9',
        token_url: 'http://127.0.0.1:9/t',
      },
      microsoft: { client_id: 'm', client_secret: 's', microsoft_tenant_id: 'common' },
    },
    smtp: { host: 'mail.test', port: 587, sender_email: 'a@b.test', sender_name: 'B' },
  })
  assert.deepEqual(file.oauth.google, {
    clientId: 'id',
    clientSecret: 'secret',
    microsoftTenantId: undefined,
    endpoints: { issuer: 'http://127.0.0.1:9', tokenUrl: 'http://127.0.0.1:9/t' },
  })
  assert.equal(file.oauth.microsoft?.microsoftTenantId, 'common')
  assert.equal(file.oauth.github, undefined)
  assert.equal(file.smtp?.port, 587)
  assert.equal(file.smtp?.username, undefined)
  assert.deepEqual(parseAuthOperator({}), { oauth: {}, smtp: undefined })
})

test('what is wrong is named, and no value is told', () => {
  const client = { client_id: 'id', client_secret: 'a secret' }
  const smtp = { host: 'h', port: 25, sender_email: 'a', sender_name: 'b' }
  const table: [value: unknown, named: string][] = [
    [[], 'the file'],
    [{ mail: {} }, 'mail'],
    [{ oauth: { gogle: client } }, 'oauth.gogle'],
    [{ oauth: { google: { client_id: 'id' } } }, 'oauth.google.client_secret'],
    [{ oauth: { google: { ...client, scope: 'x' } } }, 'oauth.google.scope'],
    [{ oauth: { google: { ...client, issuer: 'ftp://x' } } }, 'oauth.google.issuer'],
    [{ oauth: { google: { ...client, token_url: 'https://u:p@x/' } } }, 'oauth.google.token_url'],
    [{ oauth: { google: 'a secret' } }, 'oauth.google'],
    [{ oauth: { microsoft: { ...client, microsoft_tenant_id: '../common' } } }, 'oauth.microsoft.microsoft_tenant_id'],
    [{ smtp: { ...smtp, port: '25' } }, 'smtp.port'],
    [{ smtp: { ...smtp, host: '' } }, 'smtp.host'],
    [{ smtp: { ...smtp, pasword: 'a secret' } }, 'smtp.pasword'],
  ]
  for (const [value, named] of table) {
    assert.throws(
      () => parseAuthOperator(value),
      (error) =>
        isAppError(error, 'config_invalid') &&
        error.message.startsWith(`PGROVE_AUTH_CONFIG: ${named}`) &&
        !error.message.includes('a secret'),
      named,
    )
  }
})
