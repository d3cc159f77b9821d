// The Neon CLI, unmodified, as its users call it.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type {
  Branch,
  BranchResponse,
  ConnectionURIsResponse,
  CurrentUserInfoResponse,
  Database,
  Endpoint,
  EndpointsResponse,
  Operation,
  Organization,
  OrgApiKeyCreateResponse,
  OrgApiKeysListResponseItem,
  Project,
  ProjectListItem,
  ProjectResponse,
  Role,
} from '@neondatabase/api-client'
import { makeNeonctl, type Neonctl } from '../support/neonctl.ts'
import { makeProject, type TestProject } from '../support/neon.ts'
import { changed, query } from '../support/postgres.ts'
import { obstacleWithout, skipUnless } from '../support/programs.ts'
import { psql } from '../support/psql.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

const domain = 'db.pgrove.test'

let server: TestServer
let neonctl: Neonctl
before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_DOMAIN: domain } })
  neonctl = await makeNeonctl(server)
})
after(async () => {
  await neonctl?.[Symbol.asyncDispose]()
  await server?.[Symbol.asyncDispose]()
})

type MadeProject = ProjectResponse & ConnectionURIsResponse
type MadeBranch = BranchResponse & EndpointsResponse & ConnectionURIsResponse

/** What a test begins with; made without the CLI, which takes its second for each call. */
const makeTenant = (): Promise<TestProject> =>
  makeProject(server, { branch: { name: 'main', role_name: 'app_user', database_name: 'app_db' } })

const names = (items: readonly { name: string }[]): string[] => items.map(({ name }) => name).toSorted()

/** What the CLI says when it gives up. */
async function complaint(command: string): Promise<string> {
  const error = await neonctl.text(command).then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.ok(error instanceof Error, `neonctl ${command} was expected to fail`)
  return String(error.cause)
}

test('me and orgs list', async () => {
  const me = await neonctl.json<CurrentUserInfoResponse>('me')
  assert.match(await neonctl.text('me'), new RegExp(me.email))
  const organizations = await neonctl.json<Organization[]>('orgs list')
  assert.deepEqual(names(organizations), ['paid', 'sponsored'])
  for (const { id } of organizations) assert.match(id, /^org-[a-z]+-[a-z]+-\d{8}$/)
})

test('projects across organizations, and keys of one of them', async () => {
  const api = apiClient(server)
  const [sponsored, paid] = (await api.getCurrentUserOrganizations()).data.organizations
  assert.ok(sponsored && paid)
  const made = await neonctl.json<MadeProject>(`projects create --name of-sponsored --org-id ${sponsored.id}`)
  assert.equal(made.project.org_id, sponsored.id)
  await api.createProject({ project: { name: 'of-paid', org_id: paid.id } })
  const listed = await neonctl.json<ProjectListItem[]>(`projects list --org-id ${sponsored.id}`)
  assert.ok(listed.every(({ org_id }) => org_id === sponsored.id))
  assert.ok(names(listed).includes('of-sponsored') && !names(listed).includes('of-paid'))

  const key = await neonctl.json<OrgApiKeyCreateResponse>(`api-keys create --name cli --org-id ${sponsored.id}`)
  const scoped = await neonctl.json<OrgApiKeyCreateResponse>(
    `api-keys create --name one --project-id ${made.project.id}`,
  )
  assert.equal(scoped.project_id, made.project.id)
  const keys = await neonctl.json<OrgApiKeysListResponseItem[]>(`api-keys list --org-id ${sponsored.id}`)
  assert.deepEqual(names(keys), ['cli', 'one'])
  await using own = await makeNeonctl({ ...server, apiKey: key.key })
  const { projects } = await own.json<{ projects: ProjectListItem[] }>('projects list')
  assert.deepEqual(names(projects), names(listed))
  await neonctl.text(`api-keys revoke ${scoped.id} --org-id ${sponsored.id}`)
  assert.deepEqual(
    (await api.listOrgApiKeys(sponsored.id)).data.map(({ name }) => name),
    ['cli'],
  )
})

test('projects: create, list, get, update, delete, recover', async () => {
  const made = await neonctl.json<MadeProject>(
    'projects create --name one --cu 0.25-1 --database app_db --role app_user',
  )
  const { id } = made.project
  assert.equal(made.project.creation_source, 'neonctl')
  const uri = made.connection_uris[0]?.connection_uri ?? ''
  assert.deepEqual(await query(uri, 'select current_database()::text as database'), [{ database: 'app_db' }])

  const listed = await neonctl.json<{ projects: ProjectListItem[]; shared_with_you: ProjectListItem[] }>(
    'projects list',
  )
  assert.ok(listed.projects.some((project) => project.id === id))
  assert.deepEqual(listed.shared_with_you, [])
  assert.match(await neonctl.text('projects list'), new RegExp(`^${id} +one +aws-us-east-2 +\\d{4}-`, 'm'))
  assert.equal((await neonctl.json<Project>(`projects get ${id}`)).name, 'one')

  const updated = await neonctl.json<Project>(`projects update ${id} --name two --cu 0.5-2`)
  assert.equal(updated.name, 'two')
  assert.equal(updated.default_endpoint_settings?.autoscaling_limit_max_cu, 2)

  assert.equal((await neonctl.json<Project>(`projects delete ${id}`)).id, id)
  assert.match(await complaint(`projects get ${id}`), /project not found/)
  assert.match(await neonctl.text('projects list --recoverable-only'), new RegExp(`^${id} `, 'm'))
  assert.equal((await neonctl.json<Project>(`projects recover ${id}`)).name, 'two')
  await neonctl.json(`projects delete ${id}`)
})

test('branches: create, list, get, rename, set-default, add-compute, delete', async () => {
  const project = await makeTenant()
  const here = `--project-id ${project.id}`
  await query(project.uri, 'create table notes as select 1 as id')

  const made = await neonctl.json<MadeBranch>(`branches create --name dev ${here}`)
  assert.equal(made.endpoints.length, 1)
  assert.deepEqual(await query(made.connection_uris[0]?.connection_uri ?? '', 'select id from notes'), [{ id: 1 }])
  const bare = await neonctl.json<Branch>(`branches create --name bare --no-compute --parent dev ${here}`)
  assert.equal(bare.parent_id, made.branch.id)
  assert.deepEqual(names(await neonctl.json<Branch[]>(`branches list ${here}`)), ['bare', 'dev', 'main'])
  const table = await neonctl.text(`branches list ${here}`)
  assert.match(table, /^\[default\] main +br-\S+ +ready +\d{4}-/m)
  assert.match(table, new RegExp(`^dev +${made.branch.id} +ready +\\d{4}-`, 'm'))
  assert.equal((await neonctl.json<Branch>(`branches get dev ${here}`)).id, made.branch.id)

  const endpoint = await neonctl.json<Endpoint>(`branches add-compute bare --type read_write --cu 1 ${here}`)
  assert.equal(endpoint.branch_id, bare.id)
  assert.equal(endpoint.host, `${endpoint.id}.${domain}`)
  assert.match(await complaint(`branches add-compute bare ${here}`), /read_only endpoints are not available/)

  assert.equal((await neonctl.json<Branch>(`branches rename dev next ${here}`)).name, 'next')
  assert.equal((await neonctl.json<Branch>(`branches set-default next ${here}`)).default, true)
  assert.match(await complaint(`branches delete next ${here}`), /default branch cannot be deleted/)
  assert.equal((await neonctl.json<Branch>(`branches delete bare ${here}`)).id, bare.id)
  assert.match(await complaint(`branches get bare ${here}`), /Branch bare not found/)
})

test('databases: create, list, delete', async () => {
  const project = await makeTenant()
  const here = `--project-id ${project.id} --branch main`
  const made = await neonctl.json<Database>(`databases create --name reports --owner-name app_user ${here}`)
  assert.equal(made.owner_name, 'app_user')
  assert.deepEqual(names(await neonctl.json<Database[]>(`databases list ${here}`)), ['app_db', 'reports'])
  assert.match(await neonctl.text(`databases list ${here}`), /^reports +app_user +\d{4}-/m)
  const uri = await neonctl.text(`connection-string main --project-id ${project.id} --database-name reports`)
  assert.match(uri, /\/reports\?/)
  assert.equal((await neonctl.json<Database>(`databases delete reports ${here}`)).name, 'reports')
  assert.deepEqual(names(await neonctl.json<Database[]>(`databases list ${here}`)), ['app_db'])
})

test('roles: create, list, delete', async () => {
  const project = await makeTenant()
  const here = `--project-id ${project.id}`
  const made = await neonctl.json<Role>(`roles create --name reader ${here}`)
  const login = changed(project.uri, { role: 'reader', password: made.password ?? '' })
  assert.deepEqual(await query(login, 'select current_user::text as role'), [{ role: 'reader' }])
  assert.deepEqual(names(await neonctl.json<Role[]>(`roles list ${here}`)), ['app_user', 'reader'])
  assert.equal((await neonctl.json<Role>(`roles delete reader ${here}`)).name, 'reader')
  assert.deepEqual(names(await neonctl.json<Role[]>(`roles list ${here}`)), ['app_user'])
})

test('operations list', async () => {
  const project = await makeTenant()
  const listed = await neonctl.json<Operation[]>(`operations list --project-id ${project.id}`)
  assert.deepEqual(
    listed.map(({ action }) => action),
    ['start_compute', 'create_timeline'],
  )
  assert.match(await neonctl.text(`operations list --project-id ${project.id}`), /^\S+ +create_timeline +\w+ +\d/m)
})

test('set-context stands for the options that it names', async () => {
  const project = await makeTenant()
  const made = await neonctl.json<MadeBranch>(`branches create --name dev --project-id ${project.id}`)
  await neonctl.text(`set-context --project-id ${project.id} --branch-id ${made.branch.id}`)
  try {
    const context = JSON.parse(await readFile(join(neonctl.folder, '.neon'), 'utf8')) as Record<string, string>
    assert.deepEqual(context, { projectId: project.id, branchId: made.branch.id })
    assert.match(await neonctl.text('branches list'), /^\[current\] dev /m)
    assert.match(await neonctl.text('connection-string'), new RegExp(`@${made.endpoints[0]?.id}\\.`))
  } finally {
    await neonctl.text('set-context')
  }
})

test('connection-string names the endpoint’s host, pooled or not, for any role and database', async () => {
  const project = await makeTenant()
  const here = `--project-id ${project.id}`
  const { endpointId, password } = project
  const plain = `postgresql://app_user:${password}@${endpointId}.${domain}/app_db?sslmode=require&channel_binding=require\n`
  assert.equal(await neonctl.text(`connection-string ${here}`), plain)
  assert.equal(
    await neonctl.text(`connection-string main --pooled ${here}`),
    plain.replace(endpointId, `${endpointId}-pooler`),
  )
  const reader = await neonctl.json<Role>(`roles create --name reader ${here}`)
  assert.match(await complaint(`connection-string ${here}`), /Multiple roles found/)
  assert.equal(
    await neonctl.text(`connection-string --role-name reader --database-name app_db ${here}`),
    plain.replace(`app_user:${password}`, `reader:${reader.password}`),
  )
})

test('its connection string opens the database through TLS and SNI', skipUnless(obstacleWithout('psql')), async () => {
  const project = await makeTenant()
  for (const pooled of ['', '--pooled']) {
    const printed = await neonctl.text(`connection-string --project-id ${project.id} ${pooled}`)
    const uri = new URL(printed.trim())
    // Binding the login to the channel asks for a proxy that checks passwords itself.
    uri.searchParams.delete('channel_binding')
    // Stands for a DNS wildcard and for the standard port.
    const reachedAt = { PGHOSTADDR: '127.0.0.1', PGPORT: String(server.pgPort) }
    assert.equal(
      await psql(uri.href, ['-c', 'select current_user, current_database()'], reachedAt),
      'app_user|app_db\n',
    )
    assert.match(await psql(uri.href, ['-c', String.raw`\conninfo`], reachedAt), /^SSL connection/m)
  }
})
