// An organization with ten thousand projects: whether lists, search and pages are still answered at once.
//
// The projects are rows of the control database only, copied from one that was really made: what is measured reads nothing else, and ten
// thousand real ones would take half an hour to make.

import pg from 'pg'
import { serviceRole, socketPort, templateDatabase } from '../../src/compute/postgres-service.ts'
import { homeAt, loadMasterKey } from '../../src/home.ts'
import { Cipher } from '../../src/lib/cipher.ts'
import { call, createReadyProject, get, type BenchProject } from '../api.ts'
import { timed } from '../connect.ts'
import { p99AtMost, type Result, type Row } from '../row.ts'
import { startBenchServer, type BenchServer } from '../server.ts'
import { summarize } from '../stats.ts'

const controlDatabase = 'controldb000'

export const largeOrganization: Row = {
  name: 'large-organization',
  slow: false,
  about: 'list, search and paging calls in an organization of 10,000 projects (--organization, --samples)',
  async run({ organization: count, samples }, say) {
    await using server = await startBenchServer()
    const project = await createReadyProject(server)
    const { project: found } = (await call(server, 'GET', `/projects/${project.id}`)) as { project: { org_id: string } }
    say(`copying rows: ${count} projects`)
    await copyRows(server, project, count)
    const rows: Result[] = []
    for (const [kind, ask] of Object.entries(await kindsOf(server, found.org_id))) {
      say(kind)
      const times: number[] = []
      for (let i = 0; i < Math.max(samples, 100); i++) times.push(await timed(() => get(server, ask(i))))
      const figures = summarize(times)
      rows.push({ what: kind, unit: 'ms', figures, targets: [p99AtMost(figures, 100)] })
    }
    return rows
  },
}

/** Each gives the path of its nth call. */
async function kindsOf(server: BenchServer, orgId: string): Promise<Record<string, (n: number) => string>> {
  const cursors = await walk(server, orgId)
  const now = new Date()
  const dayMs = 86_400_000
  const range = `from=${new Date(now.getTime() - 7 * dayMs).toISOString()}&to=${now.toISOString()}&granularity=daily`
  const pageAt = (n: number): string => {
    const cursor = cursors[(n * 37) % cursors.length]
    return cursor === undefined ? '' : `&cursor=${cursor}`
  }
  return {
    'first page of 100': () => '/projects?limit=100',
    'first page of 400, one organization': () => `/projects?limit=400&org_id=${orgId}`,
    'any page of 100, one organization': (n) => `/projects?limit=100&org_id=${orgId}${pageAt(n)}`,
    'search that finds one': (n) => `/projects?limit=100&org_id=${orgId}&search=tenant-${(n * 97) % 10_000}-`,
    'search that finds none': () => `/projects?limit=100&org_id=${orgId}&search=nobody-has-this`,
    'deleted ones': () => '/projects?recoverable=true&limit=100',
    'consumption, any page of 100': (n) =>
      `/consumption_history/v2/projects?${range}&org_id=${orgId}&limit=100&metrics=compute_unit_seconds,root_branch_bytes_month${pageAt(n)}`,
  }
}

/** The cursors of all pages of 100. */
async function walk(server: BenchServer, orgId: string): Promise<string[]> {
  const cursors: string[] = []
  for (;;) {
    const cursor = cursors.at(-1)
    const path = `/projects?limit=100&org_id=${orgId}${cursor === undefined ? '' : `&cursor=${cursor}`}`
    const page = (await call(server, 'GET', path)) as { projects: unknown[]; pagination?: { cursor?: string } }
    const next = page.pagination?.cursor
    if (page.projects.length < 100 || next === undefined) return cursors
    cursors.push(next)
  }
}

async function copyRows(server: BenchServer, project: BenchProject, count: number): Promise<void> {
  const home = homeAt(server.home)
  const cipher = new Cipher(await loadMasterKey(home, undefined))
  const client = new pg.Client({
    host: `${home.run}/${controlDatabase}`,
    port: socketPort,
    user: serviceRole,
    password: cipher.derive('control-database'),
    database: templateDatabase,
  })
  await client.connect()
  try {
    await client.query('begin')
    for (const [table, changes] of Object.entries(copies))
      await client.query(await copyOf(client, table, changes), [project.id, count])
    await client.query('commit')
    await client.query('analyze')
  } finally {
    await client.end()
  }
}

/** What differs from one copy to the next; `n` counts them. A copy has no data of its own. */
const copies: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  projects: {
    id: `'copied-project-' || lpad(n::text, 8, '0')`,
    name: `'tenant-' || n || '-prod'`,
    created_at: `now() - n * interval '1 minute'`,
  },
  branches: {
    id: `'br-copied-' || lpad(n::text, 8, '0')`,
    project_id: `'copied-project-' || lpad(n::text, 8, '0')`,
    timeline_id: 'null',
  },
  endpoints: {
    id: `'ep-copied-' || lpad(n::text, 8, '0')`,
    project_id: `'copied-project-' || lpad(n::text, 8, '0')`,
    branch_id: `'br-copied-' || lpad(n::text, 8, '0')`,
  },
}

async function copyOf(client: pg.Client, table: string, changes: Readonly<Record<string, string>>): Promise<string> {
  const { rows } = await client.query<{ name: string }>(
    `select attname as name from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum`,
    [table],
  )
  const names = rows.map(({ name }) => name)
  const values = names.map((name) => changes[name] ?? `t.${name}`)
  const key = table === 'projects' ? 'id' : 'project_id'
  return `insert into ${table} (${names.join(', ')}) select ${values.join(', ')} from ${table} t, generate_series(1, $2::integer) as n where t.${key} = $1`
}
