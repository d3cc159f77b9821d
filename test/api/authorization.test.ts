// Every operation, called by every kind of caller: what each is told is what this file says, which was written beside the product's own
// table and not read from it. Only the gate is looked at: what has been let through may still find that there is nothing to do.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { ownOperations } from '../../src/api/contract/own-operations.ts'
import { join, makeOrganization, makeOrganizationKey, makeUser, must, withKey } from '../support/accounts.ts'
import { makeProject } from '../support/neon.ts'
import { assertQuiet } from '../support/quiet.ts'
import { request, startServer, type Answer, type TestServer } from '../support/server.ts'

type Operation = { id: string; method: string; path: string }

const upstream = fileURLToPath(import.meta.resolve('@neondatabase/api-client/public-v2-for-users.gen.yaml'))
const operations = [...(await readOperations(upstream)), ...ownOperations]

async function readOperations(file: string): Promise<Operation[]> {
  const { paths } = parse(await readFile(file, 'utf8')) as {
    paths: Record<string, Record<string, { operationId?: string }>>
  }
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, { operationId }]) =>
      operationId === undefined ? [] : [{ id: operationId, method: method.toUpperCase(), path }],
    ),
  )
}

/** In the order of the columns below. `foreignKey` is for another project of the same organization, `strangersKey` for one elsewhere. */
const callers = [
  'nobody',
  'revoked',
  'operator',
  'otherUser',
  'collaborator',
  'viewer',
  'editor',
  'member',
  'admin',
  'orgKey',
  'otherOrgKey',
  'projectKey',
  'foreignKey',
  'strangersKey',
] as const
type CallerName = (typeof callers)[number]

/** `+` let through, 1: 401, 3: 403, 4: 404. Of the project and its organization, except where nothing is named. */
const expectations = {
  //          nobody revoked operator otherUser collab viewer editor member admin orgKey otherOrgKey projKey foreignKey strangersKey
  anybody:
    '  1      1       +        +         +      +      +      +      +     +      +           +       +          +',
  person:
    '   1      1       +        +         +      +      +      +      +     3      3           3       3          3',
  operator:
    ' 1      1       +        3         3      3      3      3      3     3      3           3       3          3',
  projects:
    ' 1      1       +        +         +      +      +      +      +     +      +           3       3          3',
  orgRead:
    '  1      1       4        4         4      +      +      +      +     +      4           3       3          4',
  orgAdmin:
    ' 1      1       4        4         4      3      3      3      +     +      4           3       3          4',
  orgMove:
    '  1      1       4        4         4      3      3      3      +     3      4           3       3          4',
  read: '     1      1       4        4         +      +      +      +      +     +      4           +       4          4',
  write:
    '    1      1       4        4         +      3      +      +      +     +      4           +       4          4',
  own: '      1      1       4        4         3      3      3      3      +     +      4           3       4          4',
} as const
type Kind = keyof typeof expectations

function expected(kind: Kind, caller: CallerName): string {
  const marks = expectations[kind].trim().split(/\s+/)
  assert.equal(marks.length, callers.length)
  return marks[callers.indexOf(caller)] ?? ''
}

/** Reading is what GET does, and changing what the others do, save for these. */
const exceptions: Readonly<Record<string, Kind>> = {
  listApiKeys: 'person',
  createApiKey: 'person',
  revokeApiKey: 'person',
  getCurrentUserInfo: 'person',
  updateCurrentUser: 'person',
  getCurrentUserOrganizations: 'person',
  transferProjectsFromUserToOrg: 'person',
  listOwnInvitations: 'person',
  acceptInvitation: 'person',
  acceptProjectTransferRequest: 'person',
  getAuthDetails: 'anybody',
  getActiveRegions: 'anybody',
  listProjects: 'projects',
  listSharedProjects: 'projects',
  createProject: 'projects',
  getConsumptionHistoryPerProject: 'projects',
  getConsumptionHistoryPerProjectV2: 'projects',
  getConsumptionHistoryPerBranchV2: 'projects',
  // Members make and revoke keys of their projects; which key it is, the body or the key says.
  createOrgApiKey: 'orgRead',
  revokeOrgApiKey: 'orgRead',
  listAuditLog: 'orgAdmin',
  getOrganizationWebhook: 'orgAdmin',
  transferProjectsFromOrgToOrg: 'orgMove',
  // They show what opens a database or a service.
  getConnectionURI: 'write',
  getProjectBranchRolePassword: 'write',
  listAuthMailbox: 'write',
  // They give the project away, or end it.
  deleteProject: 'own',
  recoverProject: 'own',
  listProjectPermissions: 'own',
  grantPermissionToProject: 'own',
  revokePermissionFromProject: 'own',
  createProjectTransferRequest: 'own',
  withdrawProjectTransferRequests: 'own',
  // Their project is named in a body that is not read yet.
  createNeonAuthIntegration: 'anybody',
  createNeonAuthProviderSDKKeys: 'anybody',
  createNeonAuthNewUser: 'anybody',
  transferNeonAuthProviderProject: 'anybody',
}

function kindOf({ id, method, path }: Operation): Kind {
  const exception = exceptions[id]
  if (exception) return exception
  if (path.startsWith('/operator/')) return 'operator'
  if (path.startsWith('/organizations/')) return method === 'GET' ? 'orgRead' : 'orgAdmin'
  assert.ok(path.startsWith('/projects/{project_id}'), `${id} (${path}) has to be said of`)
  return method === 'GET' ? 'read' : 'write'
}

let server: TestServer
let projectId: string
let orgId: string
const servers = {} as Record<CallerName, TestServer>

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0', PGROVE_RATE_LIMIT: 'off' } })
  const people = await Promise.all(
    ['admin', 'member', 'editor', 'viewer', 'collaborator', 'other'].map((name) =>
      makeUser(server, `${name}@example.com`),
    ),
  )
  const [admin, member, editor, viewer, collaborator, other] = people
  assert.ok(admin && member && editor && viewer && collaborator && other)
  orgId = await makeOrganization(server, 'ours', admin)
  const otherOrgId = await makeOrganization(server, 'theirs', other)
  for (const [person, role] of [
    [member, 'member'],
    [editor, 'editor'],
    [viewer, 'viewer'],
  ] as const)
    await join(admin, orgId, person, role)
  const [project, second, theirs] = await Promise.all([
    makeProject(admin.server, { org_id: orgId }),
    makeProject(admin.server, { org_id: orgId }),
    makeProject(other.server, { org_id: otherOrgId }),
  ])
  assert.ok(project && second && theirs)
  projectId = project.id
  await must(admin.server, 'POST', `/projects/${projectId}/permissions`, { email: collaborator.email })
  const revoked = await makeOrganizationKey(admin, orgId)
  await must(admin.server, 'DELETE', `/organizations/${orgId}/api_keys/${revoked.id}`)
  Object.assign(servers, {
    nobody: withKey(server, 'napi_of_nobody'),
    revoked: revoked.server,
    operator: server,
    otherUser: other.server,
    collaborator: collaborator.server,
    viewer: viewer.server,
    editor: editor.server,
    member: member.server,
    admin: admin.server,
    orgKey: (await makeOrganizationKey(admin, orgId)).server,
    otherOrgKey: (await makeOrganizationKey(other, otherOrgId)).server,
    projectKey: (await makeOrganizationKey(admin, orgId, projectId)).server,
    foreignKey: (await makeOrganizationKey(admin, orgId, second.id)).server,
    strangersKey: (await makeOrganizationKey(other, otherOrgId, theirs.id)).server,
  })
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

const nothing = '999999999'

/** The body is none that anything could be done with. */
async function call(
  caller: CallerName,
  { method, path }: Operation,
  place: { projectId: string; orgId: string },
): Promise<Answer> {
  const url = path
    .replace('{project_id}', place.projectId)
    .replace(/\{(?:source_)?org_id\}/, place.orgId)
    .replaceAll(/\{[^}]+\}/g, nothing)
  return await request(servers[caller], method, url, method === 'GET' || method === 'DELETE' ? undefined : [])
}

/** What the gate said: a 404 of what lies behind it names another thing. */
function markOf({ status, body }: Answer): string {
  if (status === 401) return '1'
  if (status === 403) return '3'
  if (status === 404 && /^(?:project|organization) not found/.test(String(body['message']))) return '4'
  return '+'
}

/** A few at a time. */
async function forEach<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const rest = items.values()
  const worker = async (): Promise<void> => {
    for (const item of rest) await work(item)
  }
  await Promise.all(Array.from({ length: 6 }, worker))
}

test('every caller may do what he may, and nothing else', async () => {
  const wrong: string[] = []
  for (const caller of callers) {
    await forEach(
      operations.filter(({ id }) => id !== 'deleteProject'),
      async (operation) => {
        const kind = kindOf(operation)
        const answer = await call(caller, operation, { projectId, orgId })
        const [mark, wanted] = [markOf(answer), expected(kind, caller)]
        if (mark !== wanted)
          wrong.push(
            `${operation.id} by ${caller}: ${wanted} expected, ${answer.status} ${JSON.stringify(answer.body)}`,
          )
        if (answer.status >= 500 && answer.status !== 501)
          wrong.push(`${operation.id} by ${caller}: ${answer.status} ${JSON.stringify(answer.body)}`)
      },
    )
  }
  assert.deepEqual(wrong, [])
})

test('a stranger cannot tell what is there from what is not', async () => {
  const told: string[] = []
  for (const caller of ['operator', 'otherUser', 'otherOrgKey', 'strangersKey', 'foreignKey'] as const) {
    const hidden = operations.filter((operation) => expected(kindOf(operation), caller) === '4')
    assert.ok(hidden.length > 100)
    await forEach(hidden, async (operation) => {
      const there = await call(caller, operation, { projectId, orgId })
      const away = await call(caller, operation, {
        projectId: 'no-such-project-00000000',
        orgId: 'org-no-such-00000000',
      })
      const said = ({ status, body }: Answer): string => `${status} ${String(body['code'])} ${String(body['message'])}`
      if (said(there) !== said(away)) told.push(`${operation.id} by ${caller}: ${said(there)}, ${said(away)}`)
    })
  }
  assert.deepEqual(told, [])
})

test('who is refused is told what it takes', async () => {
  const get = (caller: CallerName, path: string): Promise<Answer> => request(servers[caller], 'GET', path)
  const message = async (answer: Promise<Answer>): Promise<string> => String((await answer).body['message'])
  assert.match(
    await message(request(servers.viewer, 'PATCH', `/projects/${projectId}`, [])),
    /member, editor or admin.*role viewer/,
  )
  assert.match(await message(request(servers.member, 'DELETE', `/projects/${projectId}`)), /role admin.*role member/)
  assert.match(await message(get('orgKey', '/users/me')), /a personal API key/)
  // Neon's tools know a project's key by these words.
  for (const path of ['/projects', '/users/me', `/organizations/${orgId}`, '/projects/no-such-project-00000000'])
    assert.match(await message(get('projectKey', path)), /project-scoped.*outside the project/, path)
  assert.match(await message(get('foreignKey', `/projects/${projectId}`)), /project-scoped.*outside the project/)
})

test('nobody but who may deletes a project', async () => {
  const operation = operations.find(({ id }) => id === 'deleteProject')
  assert.ok(operation)
  for (const caller of callers) {
    const wanted = expected('own', caller)
    if (wanted !== '+') assert.equal(markOf(await call(caller, operation, { projectId, orgId })), wanted, caller)
  }
  for (const caller of ['admin', 'orgKey'] as const) {
    const { id } = await makeProject(servers.admin, { org_id: orgId })
    assert.equal((await call(caller, operation, { projectId: id, orgId })).status, 200, caller)
  }
})
