import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configOfEnvironment, parseConfigFile } from './config-file.ts'
import { readOptions } from './options.ts'

test("a file of PostgREST's is read as it is", () => {
  const file = parseConfigFile(`
# comment
db-uri = "postgres://authenticator:a\\"b@localhost/app"
db-schemas = "api, public"   # several
db-anon-role = "anon"
server-port = 3001
db-max-rows = 100
db-tx-end = "commit-allow-override"
jwt-role-claim-key = ".app.role"
app.settings.region = "eu"
openapi-mode = "ignore-privileges"
openapi-server-proxy-uri = "https://example.com/api"
openapi-security-active = true
db-root-spec = "api.describe"
unheard-of = "x"
`)
  const { config, server, warnings } = readOptions(file)
  assert.deepEqual(
    [server.dbUri, server.port, config.dbSchemas, config.dbAnonRole, config.dbMaxRows, config.dbTxEnd],
    ['postgres://authenticator:a"b@localhost/app', 3001, ['api', 'public'], 'anon', 100, 'commit-allow-override'],
  )
  assert.deepEqual(config.jwtRoleClaimKey, [
    { kind: 'key', key: 'app' },
    { kind: 'key', key: 'role' },
  ])
  assert.deepEqual(config.appSettings, { 'app.settings.region': 'eu' })
  assert.deepEqual(
    [config.openapiMode, config.openapiServerProxyUri, config.openapiSecurityActive, config.dbRootSpec],
    ['ignore-privileges', 'https://example.com/api', true, 'api.describe'],
  )
  assert.deepEqual(warnings, ['unheard-of is not known here, and does nothing'])
})

test('the description follows privileges unless another mode is asked for', () => {
  assert.equal(readOptions(new Map()).config.openapiMode, 'follow-privileges')
  assert.equal(readOptions(new Map([['openapi-mode', 'disabled']])).config.openapiMode, 'disabled')
})

test('variables have the same names', () => {
  const said = configOfEnvironment({
    PGRST_DB_SCHEMAS: 'a',
    PGRST_APP_SETTINGS_X_Y: 'z',
    OTHER: 'no',
    PGRST_JWT_AUD: 'me',
  })
  assert.deepEqual(
    [...said],
    [
      ['db-schemas', 'a'],
      ['app.settings.x_y', 'z'],
      ['jwt-aud', 'me'],
    ],
  )
})

test('what is wrong is named', () => {
  const read = (name: string, value: string) => () => readOptions(new Map([[name, value]]))
  assert.throws(read('server-port', 'many'), /server-port is a number/)
  assert.throws(read('db-plan-enabled', 'yes'), /db-plan-enabled is true or false/)
  assert.throws(read('db-tx-end', 'never'), /db-tx-end is one of commit/)
  assert.throws(read('openapi-mode', 'on'), /openapi-mode is one of follow-privileges/)
  assert.throws(read('openapi-security-active', 'yes'), /openapi-security-active is true or false/)
  for (const uri of ['example.com', 'ftp://example.com', 'https://'])
    assert.throws(read('openapi-server-proxy-uri', uri), /openapi-server-proxy-uri is a URI/)
  assert.throws(read('jwt-role-claim-key', 'role'), /no path/)
  assert.throws(read('jwt-secret', 'x'.repeat(31)), /jwt-secret must have 32/)
  assert.throws(() => parseConfigFile('db-uri "x"'), /line 1 is no setting/)
})

test('texts of a file have escapes and variables', () => {
  const read = (value: string): string | undefined => parseConfigFile(`x = "${value}"`, { SET: 'a"b' }).get('x')
  assert.equal(read(String.raw`a\\b\"c\td\u00e9 # no comment`), 'a\\b"c\tdé # no comment')
  assert.equal(read('$(SET)-$$(SET)-$5'), 'a"b-$(SET)-$5')
  assert.throws(() => read('$(UNSET)'), /line 1 names \$\(UNSET\)/)
})

test('flags have the words of the format, and one list may be empty', () => {
  const read = (name: string, value: string) => readOptions(new Map([[name, value]])).config
  for (const word of ['true', 'TRUE', 'on', '1']) assert.equal(read('db-plan-enabled', word).dbPlanEnabled, true)
  for (const word of ['false', 'off', '0'])
    assert.equal(read('db-prepared-statements', word).dbPreparedStatements, false)
  assert.deepEqual(read('db-extra-search-path', '').dbExtraSearchPath, [])
  assert.deepEqual(readOptions(new Map()).config.dbExtraSearchPath, ['public'])
})

test('two servers have two ports', () => {
  const read = (port: string) => () =>
    readOptions(new Map(Object.entries({ 'server-port': port, 'admin-server-port': port })))
  assert.throws(read('3000'), /admin-server-port cannot be/)
  assert.doesNotThrow(read('0'))
})
