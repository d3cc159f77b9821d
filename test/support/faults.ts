// What the fault tests share: projects and branches by bare requests, a look into the control database, waiting with a limit.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, rename } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { homeAt } from '../../src/home.ts'
import { Cipher } from '../../src/lib/cipher.ts'
import { eventually } from './eventually.ts'
import { request, type Answer, type TestServer } from './server.ts'

export async function withinMs<T>(what: string, timeoutMs: number, work: Promise<T>): Promise<T> {
  const stop = new AbortController()
  const late = delay(timeoutMs, undefined, { signal: stop.signal }).then(() => {
    throw new Error(`not within ${timeoutMs} ms: ${what}`)
  })
  late.catch(() => {})
  try {
    return await Promise.race([work, late])
  } finally {
    stop.abort()
  }
}

/** The embedded control database of a home, as pgrove itself sees it. */
export async function withControlDatabase<T>(home: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const cipher = new Cipher(Buffer.from((await readFile(join(home, 'master.key'), 'utf8')).trim(), 'hex'))
  const client = new pg.Client({
    host: join(homeAt(home).run, 'controldb000'),
    user: 'pgrove_service',
    database: 'neondb',
    password: cipher.derive('control-database'),
    connectionTimeoutMillis: 10_000,
  })
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** Kills it and makes its data directory one that no Postgres starts on. */
export async function takeControlDatabaseAway(home: string): Promise<() => Promise<void>> {
  const data = join(home, 'control', 'data')
  const pid = Number((await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')[0])
  await rename(join(data, 'PG_VERSION'), join(data, 'PG_VERSION.away'))
  process.kill(pid, 'SIGKILL')
  return () => rename(join(data, 'PG_VERSION.away'), join(data, 'PG_VERSION'))
}

/** Of the new server's port, whatever port the string was printed with. */
export function atPort(uri: string, port: number): string {
  const url = new URL(uri)
  url.port = String(port)
  return url.href
}

export type Made = { projectId: string; branchId: string; endpointId: string; uri: string; answer: Answer }

export function madeOf(answer: Answer): Made {
  const body = answer.body as {
    project?: { id: string }
    branch: { id: string; project_id: string }
    endpoints: { id: string }[]
    connection_uris?: { connection_uri: string }[]
  }
  return {
    projectId: body.project?.id ?? body.branch.project_id,
    branchId: body.branch.id,
    endpointId: body.endpoints[0]?.id ?? '',
    uri: body.connection_uris?.[0]?.connection_uri ?? '',
    answer,
  }
}

/** Throws unless the answer is a success. */
export async function call(server: TestServer, method: string, path: string, body?: unknown): Promise<Answer> {
  const answer = await request(server, method, path, body)
  assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
  return answer
}

export async function createProject(server: TestServer, name: string): Promise<Made> {
  const made = madeOf(await call(server, 'POST', '/projects', { project: { name } }))
  await settled(server)
  return made
}

export async function createBranch(
  server: TestServer,
  parent: { projectId: string; branchId: string },
  name: string,
): Promise<Made> {
  const made = madeOf(
    await call(server, 'POST', `/projects/${parent.projectId}/branches`, {
      branch: { name, parent_id: parent.branchId },
      endpoints: [{ type: 'read_write' }],
    }),
  )
  await settled(server)
  return made
}

/** Returns when no chain is at work any more. */
export async function settled(server: TestServer, timeoutMs = 60_000): Promise<void> {
  await withControlDatabase(server.home, (client) =>
    eventually(
      'every operation ends',
      async () => {
        const { rowCount } = await client.query(`select from chains where state in ('running', 'undoing')`)
        return rowCount === 0
      },
      timeoutMs,
    ),
  )
}

/** The string that the API gives out for a branch, password and all. */
export async function uriOf(server: TestServer, projectId: string, branchId?: string): Promise<string> {
  const query = new URLSearchParams({ database_name: 'neondb', role_name: 'neondb_owner' })
  if (branchId !== undefined) query.set('branch_id', branchId)
  const { body } = await call(server, 'GET', `/projects/${projectId}/connection_uri?${query.toString()}`)
  return body['uri'] as string
}

export async function storageRoot(home: string): Promise<string> {
  const { kind } = JSON.parse(await readFile(join(home, 'storage.json'), 'utf8')) as { kind: string }
  return join(home, kind === 'pool' ? 'pool' : 'storage')
}

/** The postmaster that runs on a timeline's directory, by its lock file. */
export async function postmasterOf(home: string, branchId: string): Promise<number> {
  const id = await timelineOf(home, branchId)
  const text = await readFile(join(await storageRoot(home), 'timelines', id, 'postmaster.pid'), 'utf8')
  return Number(text.split('\n')[0])
}

export async function timelineOf(home: string, branchId: string): Promise<string> {
  return await withControlDatabase(home, async (client) => {
    const { rows } = await client.query<{ timeline_id: string }>('select timeline_id from branches where id = $1', [
      branchId,
    ])
    return rows[0]?.timeline_id ?? ''
  })
}

/** A port that is taken until it is released. */
export async function holdPort(): Promise<{ port: number; release(): Promise<void> }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    release: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
