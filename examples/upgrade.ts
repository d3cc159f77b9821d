// A free tenant uses up what it has, is told so, is upgraded, and goes on: one project, one connection string, one open connection.
//
//   NEON_API_KEY=napi_… node examples/upgrade.ts
//
// The project begins in the sponsored organization with a quota on what it may write. Its app writes until it is refused. The platform
// hears of it through the project's events, moves the project into the paid organization and lifts the quota, while the app stays connected.

import { setTimeout as delay } from 'node:timers/promises'
import { createApiClient, type Organization } from '@neondatabase/api-client'
import pg from 'pg'

const apiKey = process.env['NEON_API_KEY']
const baseURL = process.env['PGROVE_API_URL'] ?? process.env['NEON_API_HOST'] ?? 'http://127.0.0.1:4400/api/v2'
const say = (line: string): void => void process.stdout.write(`${line}\n`)

if (!apiKey) {
  process.stderr.write('set NEON_API_KEY to the key that pgrove printed on its first start\n')
  process.exit(2)
}
const api = createApiClient({ apiKey, baseURL })

const mebibyte = 1_048_576
const quotaBytes = 24 * mebibyte
/** SQLSTATE configuration_limit_exceeded: a quota of the project's. */
const quotaExceeded = '53400'

async function organizationNamed(name: string): Promise<Organization> {
  const { organizations } = (await api.getCurrentUserOrganizations()).data
  const organization = organizations.find((each) => each.name === name)
  if (!organization) throw new Error(`there is no organization ${name}; GET /users/me/organizations lists them`)
  return organization
}

/** What pgrove has beside Neon's routes: the official client has no method for it. */
async function ask<T>(path: string): Promise<T> {
  const response = await fetch(`${baseURL}${path}`, { headers: { authorization: `Bearer ${apiKey}` } })
  const body = (await response.json()) as T & { message?: string }
  if (!response.ok) throw new Error(`GET ${path}: ${body.message ?? response.status}`)
  return body
}

type ProjectEvent = { type: string; message: string }

const eventsOf = async (projectId: string): Promise<ProjectEvent[]> =>
  (await ask<{ events: ProjectEvent[] }>(`/projects/${projectId}/events`)).events

type Told = { sqlState: string; message: string }

/** The tenant's app: it has one connection and keeps it. */
class App {
  readonly #client: pg.Client
  #ended = false
  #notes = 0

  constructor(uri: string) {
    this.#client = new pg.Client({ connectionString: uri })
    this.#client.on('error', () => {})
    this.#client.on('end', () => (this.#ended = true))
  }

  async open(): Promise<void> {
    await this.#client.connect()
    await this.#client.query('create table notes (id bigserial primary key, what text not null)')
  }

  /** A mebibyte, or what it was told instead. */
  async write(): Promise<Told | undefined> {
    const text =
      'insert into notes (what) select md5(random()::text) || md5(random()::text) from generate_series(1, 8000)'
    try {
      this.#notes += (await this.#client.query(text)).rowCount ?? 0
      return undefined
    } catch (error) {
      const { code = '', message } = error as Error & { code?: string }
      return { sqlState: code, message }
    }
  }

  async assertWhole(): Promise<number> {
    const { rows } = await this.#client.query<{ count: string }>('select count(*) from notes')
    if (Number(rows[0]?.count) !== this.#notes) throw new Error(`of ${this.#notes} notes there are ${rows[0]?.count}`)
    return this.#notes
  }

  get isConnected(): boolean {
    return !this.#ended
  }

  async close(): Promise<void> {
    await this.#client.end().catch(() => {})
  }
}

const patienceMs = 60_000
const longestWriting = 200

/** Writes until it is refused for its quota. */
async function writeUntilTold(app: App): Promise<Told> {
  for (let n = 0; n < longestWriting; n++) {
    const told = await app.write()
    if (told?.sqlState === quotaExceeded) return told
    if (told) throw new Error(told.message)
    await delay(250)
  }
  throw new Error('the app wrote far beyond its quota and was not refused')
}

/** The platform's side of it: all it has heard by the time it hears this. Somebody in a hurry is past the warnings before they are due. */
async function whenTold(projectId: string, type: string): Promise<ProjectEvent[]> {
  const deadline = Date.now() + patienceMs
  for (;;) {
    const events = await eventsOf(projectId)
    if (events.some((each) => each.type === type)) return events.toReversed()
    if (Date.now() > deadline) throw new Error(`no event ${type} within ${patienceMs / 1000} s`)
    await delay(200)
  }
}

async function upgrade(projectId: string, from: Organization, to: Organization): Promise<void> {
  await api.transferProjectsFromOrgToOrg(from.id, { destination_org_id: to.id, project_ids: [projectId] })
  await api.updateProject(projectId, { project: { settings: { quota: { written_data_bytes: 0 } } } })
  const { project } = (await api.getProject(projectId)).data
  if (project.org_id !== to.id) throw new Error(`the project is in ${project.org_id}`)
  say(`upgrade    the project is in "${to.name}" now, with no quota on what it writes`)
}

async function tellTheStory(projectId: string, uri: string, from: Organization, to: Organization): Promise<void> {
  const app = new App(uri)
  try {
    await app.open()
    const told = await writeUntilTold(app)
    say(`app        is told: ${told.message}`)
    for (const { type, message } of await whenTold(projectId, 'quota.exceeded'))
      say(`platform   hears ${type}: ${message}`)
    const again = await app.write()
    if (again?.sqlState !== quotaExceeded) throw new Error('the app was let on before it was upgraded')
    await upgrade(projectId, from, to)
    const refused = await app.write()
    if (refused) throw new Error(refused.message)
    const notes = await app.assertWhole()
    if (!app.isConnected) throw new Error('the app lost its connection')
    say(`app        writes again on the connection that it opened at the beginning, and has all of its ${notes} notes`)
  } finally {
    await app.close()
  }
}

async function main(): Promise<void> {
  const [from, to] = await Promise.all([organizationNamed('sponsored'), organizationNamed('paid')])
  const { data } = await api.createProject({
    project: { name: 'upgrade', org_id: from.id, settings: { quota: { written_data_bytes: quotaBytes } } },
  })
  const projectId = data.project.id
  try {
    say(`project    ${projectId} in "${from.name}" may write ${quotaBytes / mebibyte} MiB a month`)
    await tellTheStory(projectId, data.connection_uris[0]?.connection_uri ?? '', from, to)
    const used = await ask<{ written_data_bytes: number }>(`/projects/${projectId}/consumption`)
    say(`consumed   ${(used.written_data_bytes / mebibyte).toFixed(0)} MiB written this month`)
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
