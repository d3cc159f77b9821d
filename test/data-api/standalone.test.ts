// `pgrove data-api` as a process: where it takes its options from, how it takes others while it serves, and how one sees that it is well.

import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { request, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { TestPostgres, testPassword, testUser } from '../../src/proxy/test-support/postgres.ts'
import { eventually } from '../support/eventually.ts'
import { packageRoot } from '../support/server.ts'
import { tokenOf } from './support/engine.ts'

const secret = 'a secret of thirty-two characters'
const sql = `
  create role authenticator login noinherit password 'correct horse';
  create role anonymous nologin; grant anonymous to authenticator;
  create role somebody nologin; grant somebody to authenticator;
  create schema api; create table api.things (id int primary key); insert into api.things values (1), (2), (3);
  create table public.others (id int primary key);
  grant usage on schema api, public to anonymous, somebody; grant select on api.things, public.others to anonymous, somebody;
  create function public.settings() returns void language sql as $$
    select set_config('pgrst.db_max_rows', '1', true), set_config('pgrst.db_aggregates_enabled', 'true', true),
           set_config('pgrst.server_port', '1', true) $$;
  grant execute on function public.settings() to public`

let postgres: TestPostgres
let admin: pg.Client
let folder: string
let dbUri: string

before(async () => {
  postgres = await TestPostgres.start()
  admin = new pg.Client({ host: postgres.folder, database: 'postgres', user: testUser, password: testPassword })
  await admin.connect()
  await admin.query(sql)
  folder = await mkdtemp(join(tmpdir(), 'pgrove-standalone-'))
  dbUri = `postgres://authenticator:correct%20horse@/postgres?host=${encodeURIComponent(postgres.folder)}`
  await writeFile(join(folder, 'uri'), `${dbUri}\n`)
  await writeFile(join(folder, 'secret'), `${secret}\n`)
})
after(async () => {
  await admin?.end()
  await postgres?.[Symbol.asyncDispose]()
  if (folder) await rm(folder, { recursive: true, force: true })
})

type Program = AsyncDisposable & { child: ChildProcess; output: () => string; url: string; admin: string }

async function start(options: Record<string, string>, env: Record<string, string> = {}): Promise<Program> {
  const file = join(folder, `${Math.random().toString(36).slice(2)}.conf`)
  await write(file, options)
  const child = spawn(join(packageRoot, 'bin', 'pgrove'), ['data-api', '--config', file], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const exited = once(child, 'exit')
  await Promise.race([
    eventually('it is ready', async () => /^ready$/m.test(text)),
    exited.then(() => assert.fail(`it ended: ${text}`)),
  ])
  return {
    child,
    output: () => text,
    url: /^data api +(\S+)$/m.exec(text)?.[1] ?? '',
    admin: /^admin +(\S+)$/m.exec(text)?.[1] ?? '',
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await exited
    },
  }
}

async function write(file: string, options: Record<string, string>): Promise<void> {
  await writeFile(
    file,
    Object.entries(options)
      .map(([name, value]) => `${name} = "${value}"\n`)
      .join(''),
  )
}

const base = (): Record<string, string> => ({
  'db-uri': `@${join(folder, 'uri')}`,
  'db-schemas': 'api',
  'db-anon-role': 'anonymous',
  'server-host': '127.0.0.1',
  'server-port': '0',
})
const idsAt = async (url: string, headers: Record<string, string> = {}): Promise<unknown> =>
  ((await (await fetch(`${url}/things`, { headers })).json()) as { id: number }[]).map(({ id }) => id)

test('secrets and the address of the database may stand in files, values in variables', async () => {
  const options = { ...base(), 'jwt-secret': `@${join(folder, 'secret')}`, 'db-schemas': '$(EXPOSED)' }
  await using program = await start(options, { EXPOSED: 'api', PGRST_DB_MAX_ROWS: '2' })
  assert.deepEqual(await idsAt(program.url), [1, 2])
  const token = await tokenOf({ role: 'somebody' }, secret)
  assert.deepEqual(await idsAt(program.url, { authorization: `Bearer ${token}` }), [1, 2])
})

test('what cannot be is said before anything is served', async () => {
  const refused = async (options: Record<string, string>): Promise<string> => {
    const file = join(folder, 'wrong.conf')
    await write(file, { ...base(), ...options })
    const child = spawn(join(packageRoot, 'bin', 'pgrove'), ['data-api', '--config', file], { stdio: 'pipe' })
    let text = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
    const [code] = (await once(child, 'exit')) as [number]
    assert.notEqual(code, 0)
    return text
  }
  assert.match(await refused({ 'jwt-secret': 'short' }), /jwt-secret must have 32 characters/)
  assert.match(await refused({ 'log-level': 'loud' }), /log-level is one of crit, error/)
  assert.match(await refused({ 'server-unix-socket-mode': '999' }), /server-unix-socket-mode/)
  assert.match(await refused({ 'jwt-secret': '@/no/such/file' }), /no such file/)
})

test('it may listen at a socket', async () => {
  const path = join(folder, 'api.sock')
  await using program = await start({ ...base(), 'server-unix-socket': path, 'server-unix-socket-mode': '600' })
  assert.equal(program.url, path)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  const outgoing = request({ socketPath: path, path: '/things?id=eq.1' })
  outgoing.end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  assert.equal(response.statusCode, 200)
  response.resume()
  const file = join(folder, 'secret')
  await assert.rejects(start({ ...base(), 'server-unix-socket': file }), /is no socket/)
  assert.equal(await readFile(file, 'utf8'), `${secret}\n`)
})

test('the database may say options, but not where the server listens', async () => {
  await admin.query(`alter role authenticator in database postgres set pgrst.db_max_rows = '2'`)
  await admin.query(`alter role authenticator set pgrst.db_max_rows = '3'`)
  await admin.query(`alter role authenticator set pgrst.server_port = '1'`)
  try {
    await using program = await start({ ...base(), 'db-max-rows': '1' })
    assert.deepEqual(await idsAt(program.url), [1, 2])
    await using other = await start({ ...base(), 'db-pre-config': 'public.settings' })
    assert.deepEqual(await idsAt(other.url), [1, 2])
    assert.equal(await (await fetch(`${other.url}/things?select=count()`)).text(), '[{"count":3}]')
    await using without = await start({ ...base(), 'db-config': 'false' })
    assert.deepEqual(await idsAt(without.url), [1, 2, 3])
    await admin.query('alter role authenticator in database postgres reset all')
    await using ofAll = await start({ ...base(), 'db-pre-config': 'public.settings' }, { PGRST_DB_MAX_ROWS: '2' })
    assert.deepEqual(await idsAt(ofAll.url), [1, 2, 3])
    await admin.query('alter role authenticator reset all')
    await using ofFunction = await start({ ...base(), 'db-pre-config': 'public.settings' }, { PGRST_DB_MAX_ROWS: '2' })
    assert.deepEqual(await idsAt(ofFunction.url), [1])
    await admin.query(`alter database postgres set pgrst.db_max_rows = '1'`)
    await using ofDatabase = await start({ ...base(), 'db-max-rows': '1' }, { PGRST_DB_MAX_ROWS: '2' })
    assert.deepEqual(await idsAt(ofDatabase.url), [1, 2])
  } finally {
    await admin.query('alter database postgres reset all')
    await admin.query('alter role authenticator reset all')
    await admin.query('alter role authenticator in database postgres reset all')
  }
})

test('nobody is served by files alone before the database was asked', async () => {
  await admin.query(`alter role authenticator set pgrst.db_max_rows = '1'`)
  await admin.query('alter role authenticator nologin')
  try {
    await using program = await start({ ...base(), 'db-channel-enabled': 'false' })
    assert.equal((await fetch(`${program.url}/things`)).status, 503)
    await admin.query('alter role authenticator login')
    assert.deepEqual(await idsAt(program.url), [1])
    // What cannot be asked any more leaves what it has said.
    await admin.query(`alter role authenticator nologin`)
    program.child.kill('SIGUSR2')
    await eventually('it is said', async () => program.output().includes('the one before goes on'))
    await admin.query('alter role authenticator login')
    assert.deepEqual(await idsAt(program.url), [1])
  } finally {
    await admin.query('alter role authenticator login')
    await admin.query('alter role authenticator reset all')
  }
})

test('options are taken anew where somebody says so, and what was before goes on where they are wrong', async () => {
  await using program = await start(base())
  assert.deepEqual(await idsAt(program.url), [1, 2, 3])
  await admin.query(`alter role authenticator set pgrst.db_max_rows = '1'`)
  try {
    await admin.query(`notify pgrst, 'reload config'`)
    await eventually('one row', async () => ((await idsAt(program.url)) as unknown[]).length === 1)
    await admin.query(`alter role authenticator set pgrst.db_max_rows = 'none'`)
    program.child.kill('SIGUSR2')
    await eventually('it is said', async () => program.output().includes('options in the database cannot be used'))
    assert.deepEqual(await idsAt(program.url), [1])
    await admin.query(`alter role authenticator set pgrst.db_schemas = 'public'`)
    await admin.query('alter role authenticator reset pgrst.db_max_rows')
    await admin.query('notify pgrst')
    await eventually('the other schema', async () => (await fetch(`${program.url}/others`)).status === 200)
    assert.equal((await fetch(`${program.url}/things`)).status, 404)
  } finally {
    await admin.query('alter role authenticator reset all')
  }
})

test('whether it is well is told on a port of its own', async () => {
  const other = await start({
    ...base(),
    'admin-server-port': '0',
    'jwt-secret': secret,
    'jwt-cache-max-entries': '1',
    'app.settings.key': 'hidden',
  })
  await using program = other
  const at = async (path: string): Promise<[number, string]> => {
    const response = await fetch(program.admin + path)
    return [response.status, await response.text()]
  }
  assert.equal((await at('/live'))[0], 200)
  assert.equal((await at('/ready'))[0], 200)
  assert.equal((await at('/nothing'))[0], 404)
  const [, config] = await at('/config')
  assert.match(config, /^db-schemas = "api"$/m)
  assert.ok(!config.includes(secret) && !config.includes('correct') && !config.includes('hidden'), config)
  for (const claims of [{ role: 'somebody' }, { role: 'somebody' }, { role: 'somebody', n: 1 }])
    await idsAt(program.url, { authorization: `Bearer ${await tokenOf(claims, secret)}` })
  const [, metrics] = await at('/metrics')
  for (const line of ['requests_total 3', 'hits_total 1', 'evictions_total 1'])
    assert.match(metrics, new RegExp(`^pgrst_jwt_cache_${line}$`, 'm'))
  assert.match(metrics, /^pgrst_db_pool_timeouts_total 0$/m)
  assert.match(metrics, /^pgrst_schema_cache_query_time_seconds 0\.\d/m)
  assert.match(metrics, /^pgrst_schema_cache_loads_total\{status="SUCCESS"\} [1-9]/m)
  assert.match(metrics, /^pgrst_db_pool_max 10$/m)
  await admin.query('alter role authenticator nologin')
  try {
    await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator'`)
    await eventually('it is not ready', async () => (await at('/ready'))[0] === 503)
    assert.equal((await at('/live'))[0], 200)
  } finally {
    await admin.query('alter role authenticator login')
  }
  await eventually('it is ready again', async () => (await at('/ready'))[0] === 200)
})
