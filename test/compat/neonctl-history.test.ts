// The Neon CLI, unmodified: snapshots and their schedules, restores, resets, and branches of the past.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type {
  BackupScheduleItem,
  Branch,
  BranchResponse,
  ConnectionURIsResponse,
  EndpointsResponse,
  Operation,
  Snapshot,
} from '@neondatabase/api-client'
import { makeNeonctl, type Neonctl } from '../support/neonctl.ts'
import { makeProject, type TestProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, startServer, waitForOperations, type TestServer } from '../support/server.ts'

let server: TestServer
let neonctl: Neonctl
before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  neonctl = await makeNeonctl(server)
})
after(async () => {
  await using _ = server
  await neonctl?.[Symbol.asyncDispose]()
  await assertQuiet(server)
})

type MadeBranch = BranchResponse & EndpointsResponse & ConnectionURIsResponse
type Restored = { restored_branch: Branch; operations: Operation[] }
type RestoredWithBackup = { restored_branch: Branch; backup_branch: Branch }

const makeTenant = (): Promise<TestProject> =>
  makeProject(server, { branch: { name: 'main', role_name: 'app_user', database_name: 'app_db' } })

async function complaint(command: string): Promise<string> {
  const error = await neonctl.text(command).then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.ok(error instanceof Error, `neonctl ${command} was expected to fail`)
  return String(error.cause)
}

async function numbers(uri: string): Promise<number[]> {
  return (await query<{ n: number }>(uri, 'select n from t order by n')).map(({ n }) => n)
}

/** A table with 1, then a point, then 2 in it. */
async function makeHistory(uri: string): Promise<{ lsn: string; timestamp: string }> {
  await query(uri, 'create table t as select 1 as n')
  const [point] = await query<{ lsn: string; at: Date }>(
    uri,
    `select pg_current_wal_lsn()::text as lsn, clock_timestamp() + interval '2 ms' as at, pg_sleep(0.01)`,
  )
  await query(uri, 'insert into t values (2)')
  return { lsn: point?.lsn ?? '', timestamp: point?.at.toISOString() ?? '' }
}

async function branchNames(here: string): Promise<string[]> {
  const branches = await neonctl.json<Branch[]>(`branches list ${here}`)
  return branches.map(({ name }) => name).toSorted()
}

test('snapshots: create, list, get, update, delete', async () => {
  const project = await makeTenant()
  const here = `--project-id ${project.id}`
  const point = await makeHistory(project.uri)
  const made = await neonctl.json<Snapshot>(
    `snapshots create --branch main --name v1 --expires-at 2099-01-01T00:00:00Z ${here}`,
  )
  assert.match(made.id, /^snap-/)
  assert.deepEqual([made.name, made.source_branch_id], ['v1', project.branchId])
  assert.equal((await neonctl.json<Snapshot>(`snapshots create --lsn ${point.lsn} ${here}`)).lsn, point.lsn)
  const timed = await neonctl.json<Snapshot>(`snapshots create --name timed --timestamp ${point.timestamp} ${here}`)
  assert.equal(timed.timestamp, point.timestamp)

  assert.equal((await neonctl.json<Snapshot[]>(`snapshots list ${here}`)).length, 3)
  assert.match(
    await neonctl.text(`snapshots list ${here}`),
    new RegExp(`^${made.id} +v1 +${project.branchId} +2099-01-01T00:00:00Z +\\d{4}-`, 'm'),
  )
  assert.equal((await neonctl.json<Snapshot>(`snapshots get v1 ${here}`)).id, made.id)
  const renamed = await neonctl.json<Snapshot>(`snapshots update v1 --name v2 --clear-expiration ${here}`)
  assert.deepEqual([renamed.id, renamed.name, renamed.expires_at], [made.id, 'v2', undefined])
  const expiring = await neonctl.json<Snapshot>(`snapshots update v2 --expires-at 2098-01-01T00:00:00Z ${here}`)
  assert.equal(expiring.expires_at, '2098-01-01T00:00:00Z')
  assert.equal((await neonctl.json<Snapshot>(`snapshots delete v2 ${here}`)).id, made.id)
  assert.match(await complaint(`snapshots get v2 ${here}`), /"v2" not found/)
  await neonctl.json(`branches create --name dev --no-compute ${here}`)
  assert.match(await complaint(`snapshots create --branch dev ${here}`), /root branches/)
  assert.match(await complaint(`snapshots create --timestamp 2020-01-01T00:00:00Z ${here}`), /outside the history/)
})

test('snapshots: restore as a preview, finalize it, restore in place', async () => {
  const project = await makeTenant()
  const here = `--project-id ${project.id}`
  await query(project.uri, 'create table t as select 1 as n')
  await neonctl.json(`snapshots create --name v1 ${here}`)
  await query(project.uri, 'insert into t values (2)')

  const preview = await neonctl.json<Restored>(`snapshots restore v1 --name preview ${here}`)
  assert.deepEqual([preview.restored_branch.name, preview.restored_branch.restore_status], ['preview', 'restored'])
  await waitForOperations(server, preview.operations)
  const { data } = await apiClient(server).getConnectionUri({
    projectId: project.id,
    branch_id: preview.restored_branch.id,
    database_name: project.database,
    role_name: project.role,
  })
  assert.deepEqual(await numbers(data.uri), [1])
  assert.deepEqual(await numbers(project.uri), [1, 2])
  const finalized = await neonctl.json<Operation[]>(`snapshots finalize preview --name before ${here}`)
  await waitForOperations(server, finalized)
  assert.deepEqual(await branchNames(here), ['before', 'main'])
  assert.deepEqual(await numbers(project.uri), [1])

  await query(project.uri, 'insert into t values (3)')
  const inPlace = await neonctl.json<Restored>(`snapshots restore v1 --target-branch main --finalize ${here}`)
  await waitForOperations(server, inPlace.operations)
  assert.deepEqual(await branchNames(here), ['before', 'main', 'main (old)'])
  assert.deepEqual(await numbers(project.uri), [1])
})

test('snapshots schedule: get, set', async () => {
  const project = await makeTenant()
  const here = `--branch main --project-id ${project.id}`
  assert.match(await neonctl.text(`snapshots schedule get ${here}`), /No automatic snapshot schedule/)
  await neonctl.text(`snapshots schedule set --frequency daily --hour 3 --retention 604800 ${here}`)
  assert.match(await neonctl.text(`snapshots schedule get ${here}`), /^daily +3 +604800/m)
  const schedule = [
    { frequency: 'weekly', day: 1, hour: 2 },
    { frequency: 'monthly', day: 15, hour: 0, retention_seconds: 3600 },
  ]
  await neonctl.text(`snapshots schedule set --schedule ${JSON.stringify(schedule)} ${here}`)
  assert.deepEqual(await neonctl.json<BackupScheduleItem[]>(`snapshots schedule get ${here}`), schedule)
  await neonctl.text(`snapshots schedule set --schedule [] ${here}`)
  assert.deepEqual(await neonctl.json<BackupScheduleItem[]>(`snapshots schedule get ${here}`), [])
})

test('branches create --parent takes an LSN and a timestamp', async () => {
  const project = await makeTenant()
  const here = `--project-id ${project.id}`
  const { lsn, timestamp } = await makeHistory(project.uri)
  for (const [name, parent] of Object.entries({ 'at-lsn': lsn, 'at-time': timestamp })) {
    const made = await neonctl.json<MadeBranch>(`branches create --name ${name} --parent ${parent} ${here}`)
    assert.equal(made.branch.parent_id, project.branchId)
    assert.deepEqual(await numbers(made.connection_uris[0]?.connection_uri ?? ''), [1], name)
  }
  assert.match(
    await complaint(`branches create --name never --parent 2020-01-01T00:00:00Z ${here}`),
    /outside the history of the branch, which reaches from/,
  )
  assert.deepEqual(await branchNames(here), ['at-lsn', 'at-time', 'main'])
})

test('branches create --expires-at and set-expiration', async () => {
  const project = await makeTenant()
  const here = `--project-id ${project.id}`
  const at = (minutes: number): string => new Date(Date.now() + minutes * 60_000).toISOString().replace(/\.\d+Z$/, 'Z')
  const [first, second] = [at(30), at(60)]
  const made = await neonctl.json<MadeBranch>(`branches create --name brief --expires-at ${first} ${here}`)
  assert.equal(made.branch.expires_at, first)
  assert.equal(
    (await neonctl.json<Branch>(`branches set-expiration brief --expires-at ${second} ${here}`)).expires_at,
    second,
  )
  assert.equal((await neonctl.json<Branch>(`branches set-expiration brief ${here}`)).expires_at, undefined)
})

test('branches restore: from itself, from another, with and without what was there', async () => {
  const project = await makeTenant()
  const here = `--project-id ${project.id}`
  const { lsn, timestamp } = await makeHistory(project.uri)
  assert.match(await complaint(`branches restore main ^self@${timestamp} ${here}`), /preserve_under_name/)
  const back = await neonctl.json<Branch>(
    `branches restore main ^self@${timestamp} --preserve-under-name before ${here}`,
  )
  assert.equal(back.id, project.branchId)
  assert.deepEqual(await numbers(project.uri), [1])
  assert.deepEqual(await branchNames(here), ['before', 'main'])

  await neonctl.json<Branch>(`branches restore main before ${here}`)
  assert.deepEqual(await numbers(project.uri), [1, 2])
  await neonctl.json<Branch>(`branches restore main before@${lsn} ${here}`)
  assert.deepEqual(await numbers(project.uri), [1])
  assert.deepEqual(await branchNames(here), ['before', 'main'])

  const dev = await neonctl.json<MadeBranch>(`branches create --name dev ${here}`)
  const uri = dev.connection_uris[0]?.connection_uri ?? ''
  await query(uri, 'insert into t values (9)')
  const kept = await neonctl.json<RestoredWithBackup>(
    `branches restore dev ^parent --preserve-under-name dev-before ${here}`,
  )
  assert.equal(kept.backup_branch.name, 'dev-before')
  assert.equal(kept.restored_branch.parent_id, kept.backup_branch.id)
  assert.deepEqual(await numbers(uri), [1])
})

test('branches reset --parent', async () => {
  const project = await makeTenant()
  const here = `--project-id ${project.id}`
  await query(project.uri, 'create table t as select 1 as n')
  const made = await neonctl.json<MadeBranch>(`branches create --name dev ${here}`)
  const uri = made.connection_uris[0]?.connection_uri ?? ''
  await query(uri, 'insert into t values (9)')
  await query(project.uri, 'insert into t values (2)')
  assert.match(await complaint(`branches reset main --parent ${here}`), /no parent/)
  assert.equal((await neonctl.json<Branch>(`branches reset dev --parent ${here}`)).id, made.branch.id)
  assert.deepEqual(await numbers(uri), [1, 2])
  const reset = await neonctl.json<Branch>(`branches get dev ${here}`)
  assert.ok(Date.parse(reset.last_reset_at ?? '') > 0)
  await neonctl.json<Branch>(`branches reset dev --parent --preserve-under-name dev-before ${here}`)
  assert.deepEqual(await numbers(uri), [1, 2])
  assert.deepEqual(await branchNames(here), ['dev', 'dev-before', 'main'])
})

test('branches schema-diff: between two branches, with the parent, and with its own past', async () => {
  const project = await makeTenant()
  const here = `--project-id ${project.id} --database app_db`
  await query(project.uri, 'create table t (n int)')
  const made = await neonctl.json<MadeBranch>(`branches create --name dev --project-id ${project.id}`)
  const uri = made.connection_uris[0]?.connection_uri ?? ''
  const [point] = await query<{ lsn: string }>(uri, 'select pg_current_wal_lsn()::text as lsn')
  await query(uri, 'alter table t add column title text')
  await query(uri, 'create table u (id int)')

  const added = /^\+ +title text/m
  const between = await neonctl.text(`branches schema-diff main dev ${here}`)
  assert.match(between, new RegExp(`\\(Branch: ${project.branchId}\\)`))
  assert.match(between, added)
  assert.match(between, /^\+CREATE TABLE public\.u \(/m)
  assert.match(await neonctl.text(`branches schema-diff dev ^parent ${here}`), added)
  assert.match(await neonctl.text(`branches schema-diff dev main ${here}`), /^- +title text/m)
  assert.match(await neonctl.text(`branches schema-diff dev ^self@${point?.lsn} ${here}`), /^- +title text/m)
  assert.doesNotMatch(await neonctl.text(`branches schema-diff dev dev ${here}`), /^[+-](?![+-])/m)
})
