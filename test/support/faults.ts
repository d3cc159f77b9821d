// What the fault tests share: failpoints armed while pgrove runs, a look into the control database, and the question whether
// anything was left behind.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { processesBelow } from '../../src/compute/process.ts'
import { adminSocket, homeAt } from '../../src/home.ts'
import { Cipher } from '../../src/lib/cipher.ts'
import { connectRpc } from '../../src/lib/rpc.ts'
import { eventually } from './eventually.ts'
import { destroyHome, makeHome, request, startServer, type Answer, type TestServer } from './server.ts'

/** Arms failpoints in a running server, which must have been started with PGROVE_FAILPOINTS set; '' disarms. */
export async function arm(server: TestServer, failpoints: string): Promise<void> {
  const rpc = connectRpc(adminSocket(homeAt(server.home)))
  try {
    await rpc.whenConnected(10_000)
    await rpc.call('setFailpoints', failpoints)
  } finally {
    rpc.close()
  }
}

/** For servers whose failpoints are armed later. */
export const armable = { PGROVE_FAILPOINTS: ';' }

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

/** Connects, retrying nothing: what a user gets who pastes the string. */
export async function query<R extends pg.QueryResultRow = pg.QueryResultRow>(uri: string, sql: string): Promise<R[]> {
  const client = new pg.Client({ connectionString: uri, connectionTimeoutMillis: 60_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<R>(sql)).rows
  } finally {
    await client.end().catch(() => {})
  }
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
  const { body } = await call(server, 'GET', `/projects/${projectId}/connection_uri?${query}`)
  return body['uri'] as string
}

/** Polls until nothing is left behind, or throws with all that is. */
export async function assertNothingLeft(server: TestServer, timeoutMs = 30_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const found = await leftovers(server.home)
    found.push(...(await strayProcesses(server)))
    if (found.length === 0) return
    if (Date.now() > deadline) throw new Error(`left behind:\n  ${found.join('\n  ')}`)
    await delay(100)
  }
}

const timelineName = /^[a-z0-9]{12}$/

async function names(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).toSorted()
}

export async function storageRoot(home: string): Promise<string> {
  const { kind } = JSON.parse(await readFile(join(home, 'storage.json'), 'utf8')) as { kind: string }
  return join(home, kind === 'pool' ? 'pool' : 'storage')
}

type Leftovers = {
  chains: { kind: string; state: string }[]
  operations: { action: string; status: string }[]
  timelines: { id: string; state: string; branches: number }[]
  branches: { id: string; state: string; timeline_id: string | null; deleted: boolean }[]
  endpoints: { id: string; live: boolean }[]
}

async function rowsOf(home: string): Promise<Leftovers> {
  return await withControlDatabase(home, async (client) => {
    const read = async (sql: string): Promise<never[]> => (await client.query(sql)).rows as never[]
    return {
      chains: await read(`select kind, state from chains where state in ('running', 'undoing')`),
      operations: await read(
        `select action, status from operations where status not in ('finished', 'error', 'cancelled', 'skipped')`,
      ),
      timelines: await read(
        `select t.id, t.state, (select count(*)::integer from branches b where b.timeline_id = t.id) as branches from timelines t`,
      ),
      branches: await read('select id, state, timeline_id, deleted_at is not null as deleted from branches'),
      endpoints: await read(
        `select e.id, e.deleted_at is null and b.deleted_at is null and p.deleted_at is null and not e.disabled as live
           from endpoints e join branches b on b.id = e.branch_id join projects p on p.id = e.project_id`,
      ),
    }
  })
}

async function leftovers(home: string): Promise<string[]> {
  const root = await storageRoot(home)
  const rows = await rowsOf(home)
  const places = homeAt(home)
  const found: string[] = []
  const note = (condition: boolean, text: string): void => void (condition && found.push(text))

  for (const { kind, state } of rows.chains) found.push(`chain ${kind} is ${state}`)
  for (const { action, status } of rows.operations) found.push(`operation ${action} is ${status}`)
  for (const { id, state, branches } of rows.timelines) {
    note(state === 'making' || state === 'deleting', `timeline ${id} is ${state}`)
    note(state === 'owned' && branches !== 1, `timeline ${id} is owned by ${branches} branches`)
    note(state === 'pooled' && branches !== 0, `timeline ${id} waits in the pool and belongs to a branch`)
  }
  for (const { id, state, timeline_id: timeline, deleted } of rows.branches) {
    if (deleted) continue
    note(state !== 'ready', `branch ${id} is ${state}`)
    note(timeline === null, `branch ${id} has no timeline`)
  }

  const known = new Set(rows.timelines.map(({ id }) => id))
  const placed = await names(join(root, 'timelines'))
  for (const id of placed) note(!known.has(id), `directory ${id} has no row`)
  for (const id of known) note(!placed.includes(id), `timeline ${id} has no directory`)
  for (const folder of ['drafts', 'trash']) {
    for (const name of await names(join(root, folder))) found.push(`${folder}/${name}`)
  }
  for (const [what, folder] of [
    ['compute files', places.computes],
    ['socket folder', places.run],
  ] as const) {
    for (const id of await names(folder)) {
      note(timelineName.test(id) && id !== 'controldb000' && !known.has(id), `${what} ${id} has no row`)
    }
  }
  const live = new Set(rows.endpoints.filter((endpoint) => endpoint.live).map(({ id }) => id))
  for (const name of await names(places.assignments)) {
    const text = await readFile(join(places.assignments, name), 'utf8').catch(() => '')
    const refuses = text.includes('"disabled":true')
    note(!live.has(name.replace(/\.json$/, '')) && !refuses, `assignment ${name} is of no endpoint that may wake`)
  }
  for (const name of await names(places.journal)) found.push(`journal ${name} is not in the control database`)
  for (const name of await names(home)) note(name.endsWith('.draft') || name.endsWith('.initdb'), name)
  for (const name of await names(places.controlDatabase)) note(/\.(draft|initdb)$/.test(name), `control/${name}`)

  for (const [folder, pids] of await postgresByFolder(home)) {
    const id = basename(folder)
    if (folder === join(home, 'control', 'data')) continue
    note(folder !== join(root, 'timelines', id) || !known.has(id), `postgres ${pids.join(', ')} runs in ${folder}`)
  }
  return found
}

async function postgresByFolder(home: string): Promise<Map<string, number[]>> {
  const folders = new Map<string, number[]>()
  for (const pid of await processesBelow(home)) {
    const folder = await readlink(`/proc/${pid}/cwd`).catch(() => undefined)
    if (folder !== undefined) folders.set(folder, [...(folders.get(folder) ?? []), pid])
  }
  return folders
}

/** Processes of pgrove itself for this home: the watching one and its two children, and none beside. */
async function strayProcesses(server: TestServer): Promise<string[]> {
  const all = await pgroveProcesses(server.home)
  const strays = all.filter(({ pid, parent }) => pid !== server.pid && parent !== server.pid)
  return strays.map(({ pid, role }) => `process ${pid} (${role})`)
}

export type PgroveProcess = { pid: number; parent: number; role: string }

export async function pgroveProcesses(home: string): Promise<PgroveProcess[]> {
  const found: PgroveProcess[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const [command, environment, stat] = await Promise.all(
      ['cmdline', 'environ', 'stat'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')),
    )
    if (!/\/main\.[tj]s\0/.test(command ?? '')) continue
    // The edge is not told of the home; all write to its log or have it in their environment.
    const output = await readlink(`/proc/${pid}/fd/1`).catch(() => '')
    const isOurs = output === join(home, 'pgrove.log') || environment?.split('\0').includes(`PGROVE_HOME=${home}`)
    if (!isOurs) continue
    const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? []
    if (fields[0] === 'Z') continue
    found.push({ pid: Number(pid), parent: Number(fields[1]), role: command?.split('\0').filter(Boolean).at(-1) ?? '' })
  }
  return found
}

export async function pidOf(server: TestServer, role: 'control' | 'edge'): Promise<number> {
  return await eventually(`${role} runs`, async () => {
    const found = (await pgroveProcesses(server.home)).find((each) => each.role === role && each.parent === server.pid)
    return found?.pid
  })
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

/** A home, and a pgrove on it that dies where it is told to and comes back. */
export class CrashBench implements AsyncDisposable {
  readonly home: string
  readonly #env: Record<string, string>
  #server: TestServer

  private constructor(home: string, env: Record<string, string>, server: TestServer) {
    this.home = home
    this.#env = env
    this.#server = server
  }

  static async open(env: Record<string, string> = {}): Promise<CrashBench> {
    const home = await makeHome('pgrove-faults-')
    try {
      return new CrashBench(home, env, await startOn(home, { ...env, ...armable }))
    } catch (error) {
      await destroyHome(home)
      throw error
    }
  }

  get server(): TestServer {
    return this.#server
  }

  /**
   * Arms the failpoint, acts, and waits until every process of pgrove has died there; then starts it again on the same home, without
   * failpoints, after it has died once more at `again` on the way. Gives what the act was answered, if it was.
   */
  async crashAt<T>(
    failpoint: string,
    act: (server: TestServer) => Promise<T>,
    options: { again?: string | undefined } = {},
  ): Promise<T | undefined> {
    const died = this.#server.exited
    await arm(this.#server, `${failpoint}=crash`)
    const acted = act(this.#server).catch(() => undefined)
    await withinMs(`pgrove dies at ${failpoint}`, 20_000, died)
    const answer = await withinMs('the act ends', 30_000, acted)
    if (options.again !== undefined) await this.#dieOnTheWay(options.again)
    await this.restart()
    return answer
  }

  /** It may have said that it is ready by then, or not. */
  async #dieOnTheWay(failpoint: string): Promise<void> {
    const env = { ...this.#env, PGROVE_FAILPOINTS: `${failpoint}=crash` }
    const died = startOn(this.home, env).then(
      async (server) => void (await server.exited),
      () => {},
    )
    await withinMs(`pgrove dies at ${failpoint} while it recovers`, 40_000, died)
  }

  /** After every process has died. */
  async restart(env: Record<string, string> = {}): Promise<void> {
    this.#server = await startOn(this.home, { ...this.#env, ...armable, ...env })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop().catch(() => {})
    await destroyHome(this.home)
  }
}

async function startOn(home: string, env: Record<string, string>): Promise<TestServer> {
  return await startServer({ home, keepHome: true, env: { PGROVE_STORAGE: 'copy', ...env } })
}

/** A port that nobody has: asked for, and let go again. */
export async function holdPort(): Promise<{ port: number; release(): Promise<void> }> {
  const { createServer } = await import('node:net')
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    release: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
