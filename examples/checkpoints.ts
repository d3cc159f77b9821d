// Checkpoints of an app: its database goes back to an earlier version of itself and forward again, behind one connection string.
//
//   NEON_API_KEY=napi_… node examples/checkpoints.ts
//
// A visitor uses the app all the while, over the connection that it opened at the beginning.

import { setTimeout as delay } from 'node:timers/promises'
import { createApiClient, OperationStatus, type Branch, type Operation } from '@neondatabase/api-client'
import pg from 'pg'

const apiKey = process.env['NEON_API_KEY']
const baseURL = process.env['PGROVE_API_URL'] ?? process.env['NEON_API_HOST'] ?? 'http://127.0.0.1:4400/api/v2'
const say = (line: string): void => void process.stdout.write(`${line}\n`)

if (!apiKey) {
  process.stderr.write('set NEON_API_KEY to the key that pgrove printed on its first start\n')
  process.exit(2)
}
const api = createApiClient({ apiKey, baseURL })

/** An answer's resource is ready once all operations of the answer are. */
async function finished(operations: readonly Operation[]): Promise<void> {
  for (const { id, project_id: projectId } of operations) {
    for (;;) {
      const { status, action, error } = (await api.getProjectOperation(projectId, id)).data.operation
      if (status === OperationStatus.Finished || status === OperationStatus.Skipped) break
      if (status === OperationStatus.Error || status === OperationStatus.Cancelled)
        throw new Error(`${action} ended as ${status}: ${error ?? ''}`)
      await delay(100)
    }
  }
}

async function run(uri: string, sql: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: uri })
  await client.connect()
  try {
    return await client.query(sql)
  } finally {
    await client.end()
  }
}

const versions = [
  {
    name: 'v1',
    change: `create table todos (id serial primary key, title text not null);
             insert into todos (title) values ('write the app'), ('show it')`,
    looks: '2 todos with id, title',
  },
  {
    name: 'v2',
    change: `alter table todos add column done boolean not null default false;
             insert into todos (title) values ('add a tick box');
             update todos set done = true where id = 1`,
    looks: '3 todos with id, title, done',
  },
  {
    name: 'v3',
    change: `alter table todos rename column title to what; alter table todos add column tags text[];
             delete from todos where done`,
    looks: '2 todos with id, what, done, tags',
  },
] as const

const look = `select (select count(*) from todos) || ' todos with ' ||
                     (select string_agg(attname, ', ' order by attnum) from pg_attribute
                       where attrelid = 'todos'::regclass and attnum > 0 and not attisdropped) as app`

const appOf = (result: pg.QueryResult): string => String((result.rows[0] as { app?: unknown } | undefined)?.app)

async function assertApp(uri: string, looks: string): Promise<void> {
  const app = appOf(await run(uri, look))
  if (app !== looks) throw new Error(`the app should have ${looks}, and has ${app}`)
}

/** Reads the app again and again, and says so when it has become another. */
function startVisitor(uri: string): { leave(): Promise<{ reads: number; connections: number }> } {
  let leaving = false
  let [reads, connections, seen] = [0, 0, '']
  const visit = async (): Promise<void> => {
    const client = new pg.Client({ connectionString: uri })
    client.on('error', () => {})
    try {
      await client.connect()
      connections++
      while (!leaving) {
        const app = appOf(await client.query(look))
        reads++
        if (app !== seen) say(`           the visitor sees ${app}`)
        seen = app
        await delay(50)
      }
    } catch {
      // Connections outlive a restore; one that is in the middle of something for too long does not, and connects again.
      await delay(100)
    } finally {
      await client.end().catch(() => {})
    }
  }
  const visiting = (async () => {
    while (!leaving) await visit()
  })()
  return {
    async leave() {
      leaving = true
      await visiting
      return { reads, connections }
    },
  }
}

/** The id behind a name is another after each restore. */
async function branchNamed(projectId: string, name: string): Promise<Branch> {
  const { branches } = (await api.listProjectBranches({ projectId })).data
  const branch = branches.find((branch) => branch.name === name)
  if (!branch) throw new Error(`there is no branch ${name}`)
  return branch
}

async function checkpoint(projectId: string, name: string): Promise<string> {
  const { id: branchId } = await branchNamed(projectId, 'main')
  const { data } = await api.createSnapshot({ projectId, branchId, name })
  await finished(data.operations)
  return data.snapshot.id
}

async function rollTo(projectId: string, snapshotId: string): Promise<void> {
  const main = await branchNamed(projectId, 'main')
  const body = { target_branch_id: main.id, finalize_restore: true }
  const { data } = await api.restoreSnapshot({ projectId, snapshotId }, body)
  await finished(data.operations)
}

/** What was replaced stays as "main (old)". The checkpoints that were made of it need it no longer. */
async function deleteLeftovers(projectId: string): Promise<void> {
  const { branches } = (await api.listProjectBranches({ projectId, search: '(old)' })).data
  for (const { id: branchId, name } of branches) {
    await finished((await api.deleteProjectBranch({ projectId, branchId })).data.operations)
    say(`clean up   deleted the leftover "${name}"`)
  }
}

async function preview(projectId: string, snapshotId: string, name: string, looks: string): Promise<void> {
  const { data } = await api.restoreSnapshot({ projectId, snapshotId }, { name })
  await finished(data.operations)
  const where = { projectId, branch_id: data.branch.id, database_name: 'app_db', role_name: 'app_user' }
  await assertApp((await api.getConnectionUri(where)).data.uri, looks)
  say(`preview    ${name} has ${looks}, under a connection string of its own`)
  await finished((await api.deleteProjectBranch({ projectId, branchId: data.branch.id })).data.operations)
  say(`clean up   deleted ${name}`)
}

async function tellTheStory(projectId: string, uri: string): Promise<void> {
  const [first, second, third] = versions
  const checkpoints = new Map<string, string>()
  await run(uri, first.change)
  const visitor = startVisitor(uri)
  try {
    for (const { name, change, looks } of versions) {
      if (name !== first.name) await run(uri, change)
      await assertApp(uri, looks)
      checkpoints.set(name, await checkpoint(projectId, name))
      say(`checkpoint ${name}: ${looks}`)
    }
    for (const { name, looks } of [first, third]) {
      await rollTo(projectId, checkpoints.get(name) ?? '')
      await assertApp(uri, looks)
      say(`restore    the app is ${name} again: ${looks}`)
      await deleteLeftovers(projectId)
    }
    await preview(projectId, checkpoints.get(second.name) ?? '', 'preview-v2', second.looks)
    await assertApp(uri, third.looks)
  } finally {
    const { reads, connections } = await visitor.leave()
    say(`the visitor read the app ${reads} times, in ${connections} connections with one connection string`)
  }
}

async function main(): Promise<void> {
  const { data } = await api.createProject({
    project: { name: 'checkpoints', branch: { name: 'main', role_name: 'app_user', database_name: 'app_db' } },
  })
  const projectId = data.project.id
  try {
    await finished(data.operations)
    say(`project    ${projectId}`)
    await tellTheStory(projectId, data.connection_uris[0]?.connection_uri ?? '')
  } finally {
    await api.deleteProject(projectId)
  }
  say('done')
}

try {
  await main()
} catch (error) {
  const { response, message, code } = error as Error & { code?: string; response?: { data?: { message?: string } } }
  process.stderr.write(`failed: ${response?.data?.message ?? (message || code)}\n`)
  process.exitCode = 1
}
