import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isAppError } from '../model/errors.ts'
import { assertPgSettings, pgSettingNames } from './pg-settings.ts'
import { changedSettings, parseConf, renderConf, restartSettings } from './postgresql-conf.ts'
import { TestComputes, testInstallations } from './test-computes.ts'

const isAccepted = (name: string, value: string): boolean => {
  try {
    assertPgSettings({ [name]: value })
    return true
  } catch (error) {
    assert.ok(isAppError(error, 'bad_request'))
    return false
  }
}

test('what opens the host or the neighbours is refused', () => {
  const never = [
    'archive_command',
    'restore_command',
    'archive_cleanup_command',
    'recovery_end_command',
    'ssl_passphrase_command',
    'archive_library',
    'shared_preload_libraries',
    'session_preload_libraries',
    'local_preload_libraries',
    'dynamic_library_path',
    'extension_control_path',
    'data_directory',
    'config_file',
    'hba_file',
    'ident_file',
    'external_pid_file',
    'listen_addresses',
    'port',
    'unix_socket_directories',
    'unix_socket_permissions',
    'unix_socket_group',
    'log_directory',
    'log_filename',
    'log_destination',
    'log_statement',
    'logging_collector',
    'ssl',
    'ssl_key_file',
    'krb_server_keyfile',
    'max_connections',
    'shared_buffers',
    'wal_level',
    'wal_keep_size',
    'max_slot_wal_keep_size',
    'fsync',
    'full_page_writes',
    'primary_conninfo',
    'superuser_reserved_connections',
    'allow_alter_system',
    'zero_damaged_pages',
    'huge_pages',
    'temp_tablespaces',
    'allow_system_table_mods',
    'jit_provider',
    'track_activities',
    'include',
    'include_dir',
    'nonsense',
    '__proto__',
    'constructor',
  ]
  for (const name of never) assert.ok(!isAccepted(name, '1'), name)
  for (const name of never) assert.ok(!isAccepted(name.toUpperCase(), 'on'), name)
})

test('values are those that Postgres reads', () => {
  const good: [string, string][] = [
    ['work_mem', '64MB'],
    ['work_mem', '65536'],
    ['WORK_MEM', '1GB'],
    ['autovacuum_work_mem', '-1'],
    ['statement_timeout', '30s'],
    ['statement_timeout', '0'],
    ['random_page_cost', '1.1'],
    ['autovacuum_vacuum_cost_delay', '2ms'],
    ['jit', 'off'],
    ['jit', 'TRUE'],
    ['plan_cache_mode', 'force_custom_plan'],
    ['timezone', 'Europe/Berlin'],
    ['timezone', 'UTC'],
    ['search_path', '"$user", public'],
    ['search_path', ''],
    ['search_path', 'a,"b ""c"""'],
    ['datestyle', 'ISO, DMY'],
    ['max_wal_size', '2GB'],
    ['hnsw.ef_search', '100'],
    ['default_transaction_isolation', 'repeatable read'],
    ['default_text_search_config', 'pg_catalog.german'],
  ]
  for (const [name, value] of good) assert.ok(isAccepted(name, value), `${name} = ${value}`)
  const bad: [string, string][] = [
    ['work_mem', ''],
    ['work_mem', 'lots'],
    ['work_mem', '1kB'],
    ['work_mem', '64mb'],
    ['work_mem', '10s'],
    ['statement_timeout', '-1'],
    ['statement_timeout', '1MB'],
    ['jit', 'maybe'],
    ['max_wal_size', '1TB'],
    ['timezone', 'Mars/Base'],
    ['timezone', "UTC'"],
    ['search_path', 'a,,b'],
    ['search_path', 'a;b'],
    ['search_path', '"open'],
    ['search_path', 'a,'],
    ['work_mem', "64MB'\narchive_command = 'id"],
    ['password_encryption', 'md5'],
    ['default_statistics_target', '1.5'],
    ['work_mem', '9'.repeat(2000)],
    ['random_page_cost', 'NaN'],
  ]
  for (const [name, value] of bad) assert.ok(!isAccepted(name, value), `${name} = ${value}`)
})

test('a setting is refused for a major that has none', () => {
  assert.throws(
    () => assertPgSettings({ transaction_timeout: '1s' }, 16),
    (error) => isAppError(error, 'bad_request'),
  )
  assertPgSettings({ transaction_timeout: '1s' }, 17)
})

test('a configuration file reads back as what was written, whatever the values hold', () => {
  const settings = { a: `it's`, b: String.raw`back\slash`, c: '', 'd.e': `'\\'`, f: '"$user", public' }
  assert.deepEqual(parseConf(renderConf(settings)), settings)
  assert.throws(() => renderConf({ a: 'x\ny' }))
  assert.deepEqual(changedSettings({ a: '1', b: '2' }, { b: '3', c: '4' }).sort(), ['a', 'b', 'c'])
})

for (const [major, installation] of testInstallations) {
  describe(`settings of Postgres ${major}`, () => {
    test('each that may be set is one that this Postgres has, in the bounds we state, and starts with', async () => {
      await using computes = await TestComputes.open(installation)
      const supervisor = computes.supervisor()
      const id = await computes.claimed(supervisor)
      const client = await computes.service(supervisor, id)
      const { rows } = await client.query<{
        name: string
        value: string
        unit: string | null
        vartype: string
        context: string
      }>(`SELECT lower(name) AS name, setting AS value, unit, vartype, context FROM pg_settings`)
      const there = new Map(rows.map((row) => [row.name, row]))
      const values: Record<string, string> = {}
      for (const name of pgSettingNames(major)) {
        const row = there.get(name)
        if (!row) {
          assert.match(name, /^(hnsw|ivfflat|pg_trgm)\./, `${name} is unknown to Postgres ${major}`)
          continue
        }
        assert.equal(row.context === 'postmaster', restartSettings.has(name), `${name} is ${row.context}`)
        const value =
          row.value === '' ? '' : row.unit === null ? row.value : `${row.value}${row.unit === '8kB' ? '' : row.unit}`
        assert.ok(isAccepted(name, value), `${name} = ${value}`)
        values[name] = value
      }
      await client.end()
      await supervisor.ensureStopped(id, 'fast')
      await supervisor.ensureRunning(computes.spec(id, { pgSettings: values, logicalReplication: true }))
      const tenant = await computes.tenant(id)
      assert.equal((await tenant.query<{ wal_level: string }>('SHOW wal_level')).rows[0]?.wal_level, 'logical')
    })
  })
}
