// Organizations: who belongs to them, how somebody comes in, and that whoever is out is out at once.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { MemberRole } from '@neondatabase/api-client'
import { join, makeOrganization, makeOrganizationKey, makeUser, must, type Person } from '../support/accounts.ts'
import { assertRefused, makeProject } from '../support/neon.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let admin: Person

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0' } })
  admin = await makeUser(server, 'admin@example.com')
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

const emailsOf = async (orgId: string): Promise<string[]> =>
  (await admin.api.getOrganizationMembers({ orgId })).data.members.map(({ user }) => user.email).toSorted()

const memberIdOf = async (orgId: string, person: Person): Promise<string> => {
  const { members } = (await admin.api.getOrganizationMembers({ orgId })).data
  return members.find(({ member }) => member.user_id === person.id)?.member.id ?? ''
}

test('only the operator makes users and organizations', async () => {
  const { status, body } = await request(server, 'POST', '/operator/users', { email: 'Made@Example.com', name: 'Made' })
  assert.equal(status, 200)
  const { user, api_key: key } = body as { user: { email: string; name: string }; api_key: { key: string } }
  assert.equal(user.email, 'made@example.com')
  assert.equal(user.name, 'Made')
  const made = apiClient({ ...server, apiKey: key.key })
  assert.equal((await made.getCurrentUserInfo()).data.email, 'made@example.com')
  assert.deepEqual((await made.getCurrentUserOrganizations()).data.organizations, [])
  assert.deepEqual((await made.listProjects({})).data.projects, [])
  await assertRefused(made.createProject({ project: {} }), 404, /organization not found/)

  const again = await request(server, 'POST', '/operator/users', { email: 'MADE@example.com' })
  assert.equal(again.status, 409)
  for (const email of ['', 'nobody', 7]) {
    assert.equal((await request(server, 'POST', '/operator/users', { email })).status, 400)
  }
  assert.equal((await request(admin.server, 'POST', '/operator/users', { email: 'x@example.com' })).status, 403)
  assert.equal((await request(admin.server, 'POST', '/operator/organizations', { name: 'x' })).status, 403)
  for (const [body, status] of [
    [{}, 400],
    [{ name: ' ' }, 400],
    [{ name: 'x', plan: 'generous' }, 400],
    [{ name: 'x', admin_email: 'nobody@example.com' }, 404],
  ] as const) {
    assert.equal((await request(server, 'POST', '/operator/organizations', body)).status, status, JSON.stringify(body))
  }
  const orgId = await makeOrganization(server, 'Nine & Söhne', admin)
  const { data } = await admin.api.getOrganization(orgId)
  assert.equal(data.name, 'Nine & Söhne')
  assert.equal(data.plan, 'scale_v3')
  assert.match(data.handle, new RegExp(`^nine-s-hne-${orgId}$`))
  await assertRefused(apiClient(server).getOrganization(orgId), 404, /^organization not found$/)
})

test('who is invited comes in, by his own key and once', async () => {
  const orgId = await makeOrganization(server, 'inviting', admin)
  const [early, late] = [await makeUser(server, 'early@example.com'), 'late@example.com']
  const { data } = await admin.api.createOrganizationInvitations(orgId, {
    invitations: [
      { email: 'Early@Example.com', role: MemberRole.Member },
      { email: late, role: MemberRole.Viewer },
    ],
  })
  assert.deepEqual(
    data.invitations.map(({ email, role, org_id, invited_by }) => [email, role, org_id, invited_by]),
    [
      ['early@example.com', 'member', orgId, admin.id],
      [late, 'viewer', orgId, admin.id],
    ],
  )
  assert.deepEqual((await admin.api.getOrganizationInvitations(orgId)).data.invitations, data.invitations)
  const [first, second] = data.invitations
  assert.ok(first && second)

  const own = async (person: Person): Promise<{ id: string; org_name: string }[]> =>
    ((await must(person.server, 'GET', '/users/me/invitations')) as { invitations: { id: string; org_name: string }[] })
      .invitations
  assert.deepEqual(
    (await own(early)).map(({ id, org_name }) => [id, org_name]),
    [[first.id, 'inviting']],
  )
  await assertRefused(early.api.getOrganization(orgId), 404, /organization not found/)
  const accept = (person: Person, id: string) => request(person.server, 'POST', `/invitations/${id}/accept`)
  assert.equal((await accept(early, second.id)).status, 404, "another's")
  assert.equal((await accept(early, first.id)).status, 200)
  assert.equal((await accept(early, first.id)).status, 404, 'once')
  assert.equal((await early.api.getOrganization(orgId)).data.id, orgId)

  // Who becomes a user afterwards finds it.
  const newcomer = await makeUser(server, late)
  assert.equal((await own(newcomer)).length, 1)
  assert.equal((await accept(newcomer, second.id)).status, 200)
  assert.deepEqual(await emailsOf(orgId), ['admin@example.com', 'early@example.com', late])
  assert.deepEqual((await admin.api.getOrganizationInvitations(orgId)).data.invitations, [])
  await assertRefused(
    admin.api.createOrganizationInvitations(orgId, { invitations: [{ email: late, role: MemberRole.Member }] }),
    422,
    /member of the organization already/,
  )
})

test('an invitation is withdrawn, made anew, and not for every role', async () => {
  const orgId = await makeOrganization(server, 'withdrawing', admin)
  const invited = await makeUser(server, 'invited@example.com')
  const invite = async (role: MemberRole): Promise<string> => {
    const invitations = [{ email: invited.email, role }]
    return (await admin.api.createOrganizationInvitations(orgId, { invitations })).data.invitations[0]?.id ?? ''
  }
  const id = await invite(MemberRole.Viewer)
  assert.equal(await invite(MemberRole.Admin), id, 'once an address')
  assert.equal((await admin.api.getOrganizationInvitations(orgId)).data.invitations[0]?.role, 'admin')
  assert.equal((await request(admin.server, 'DELETE', `/organizations/${orgId}/invitations/${id}`)).status, 204)
  assert.equal((await request(admin.server, 'DELETE', `/organizations/${orgId}/invitations/${id}`)).status, 404)
  assert.equal((await request(invited.server, 'POST', `/invitations/${id}/accept`)).status, 404)
  await assertRefused(
    admin.api.createOrganizationInvitations(orgId, {
      invitations: [
        { email: 'fine@example.com', role: MemberRole.Member },
        { email: 'not@example.com', role: MemberRole.Collaborator },
      ],
    }),
    422,
    /collaborator.*admin, member, editor, viewer/,
  )
  const many = Array.from({ length: 1001 }, (_, i) => ({ email: `no${i}@example.com`, role: MemberRole.Member }))
  await assertRefused(
    admin.api.createOrganizationInvitations(orgId, { invitations: many }),
    422,
    /1000 open invitations.*Nobody was invited/,
  )
  assert.deepEqual((await admin.api.getOrganizationInvitations(orgId)).data.invitations, [], 'all or nothing')
  const twice = ['Twice@example.com', 'twice@example.com', 'other@example.com']
  const { data: made } = await admin.api.createOrganizationInvitations(orgId, {
    invitations: twice.map((email, i) => ({ email, role: i === 0 ? MemberRole.Viewer : MemberRole.Member })),
  })
  assert.deepEqual(
    made.invitations.map(({ email, role }) => [email, role]),
    [
      ['twice@example.com', 'member'],
      ['other@example.com', 'member'],
    ],
  )
  const most = Array.from({ length: 998 }, (_, i) => ({ email: `no${i}@example.com`, role: MemberRole.Member }))
  assert.equal(
    (await admin.api.createOrganizationInvitations(orgId, { invitations: most })).data.invitations.length,
    998,
  )
})

test('members are listed page by page, read one by one, and change their roles', async () => {
  const orgId = await makeOrganization(server, 'roles', admin)
  const people = await Promise.all(['a', 'b', 'c'].map((name) => makeUser(server, `${name}@example.com`)))
  for (const person of people) await join(admin, orgId, person, 'member')
  const seen: string[] = []
  for (let cursor: string | undefined; ;) {
    const { data } = await admin.api.getOrganizationMembers({
      orgId,
      limit: 3,
      sort_by: 'email',
      sort_order: 'asc',
      ...(cursor === undefined ? {} : { cursor }),
    })
    seen.push(...data.members.map(({ user }) => user.email))
    cursor = data.pagination?.next
    if (cursor === undefined) break
  }
  assert.deepEqual(seen, ['a@example.com', 'admin@example.com', 'b@example.com', 'c@example.com'])

  const [person] = people
  assert.ok(person)
  const memberId = await memberIdOf(orgId, person)
  const { data: member } = await person.api.getOrganizationMember(orgId, memberId)
  assert.deepEqual([member.id, member.user_id, member.org_id, member.role], [memberId, person.id, orgId, 'member'])
  await assertRefused(
    person.api.updateOrganizationMember(orgId, memberId, { role: MemberRole.Admin }),
    403,
    /role admin.*role member/,
  )
  const { data: viewer } = await admin.api.updateOrganizationMember(orgId, memberId, { role: MemberRole.Viewer })
  assert.equal(viewer.role, 'viewer')
  const { data: made } = await admin.api.createProject({ project: { org_id: orgId } })
  assert.equal((await person.api.getProject(made.project.id)).status, 200)
  await assertRefused(person.api.updateProject(made.project.id, { project: { name: 'x' } }), 403, /role viewer/)
  await assertRefused(person.api.createProject({ project: { org_id: orgId } }), 403, /role viewer/)
  await assertRefused(
    admin.api.updateOrganizationMember(orgId, memberId, { role: MemberRole.Collaborator }),
    422,
    /collaborator/,
  )
  await assertRefused(
    admin.api.getOrganizationMember(orgId, '00000000-0000-4000-8000-000000000000'),
    404,
    /member not found/,
  )
})

test('an organization never loses its last admin, also not to two who remove each other', async () => {
  const orgId = await makeOrganization(server, 'last admin', admin)
  const ownId = await memberIdOf(orgId, admin)
  await assertRefused(admin.api.removeOrganizationMember(orgId, ownId), 422, /last admin/)
  await assertRefused(admin.api.updateOrganizationMember(orgId, ownId, { role: MemberRole.Member }), 422, /last admin/)
  const second = await makeUser(server, 'second@example.com')
  const secondId = await join(admin, orgId, second, 'admin')
  const outcomes = await Promise.all([
    request(admin.server, 'DELETE', `/organizations/${orgId}/members/${secondId}`),
    request(second.server, 'DELETE', `/organizations/${orgId}/members/${ownId}`),
  ])
  assert.equal(outcomes.filter(({ status }) => status === 200).length, 1, JSON.stringify(outcomes))
})

test('who is removed is out at once, with every key that he made and whatever was shared with him', async () => {
  const orgId = await makeOrganization(server, 'leaving', admin)
  const leaver = await makeUser(server, 'leaver@example.com')
  const memberId = await join(admin, orgId, leaver, 'admin')
  await must(leaver.server, 'PATCH', '/users/me', { default_org_id: orgId })
  const project = await makeProject(admin.server, { org_id: orgId })
  await admin.api.grantPermissionToProject(project.id, { email: leaver.email })
  const orgKey = await makeOrganizationKey(leaver, orgId)
  const projectKey = await makeOrganizationKey(leaver, orgId, project.id)
  const kept = await makeOrganizationKey(admin, orgId)
  const invitations = [{ email: 'other-hand@example.com', role: MemberRole.Admin }]
  await leaver.api.createOrganizationInvitations(orgId, { invitations })
  const statuses = async (): Promise<number[]> =>
    await Promise.all(
      [leaver, orgKey, projectKey, kept].map(
        async (who) => (await request(who.server, 'GET', `/projects/${project.id}`)).status,
      ),
    )
  assert.deepEqual(await statuses(), [200, 200, 200, 200])

  await admin.api.updateOrganizationMember(orgId, memberId, { role: MemberRole.Member })
  assert.deepEqual(await statuses(), [200, 401, 200, 200], 'no key gives more than who made it has')
  assert.deepEqual((await admin.api.getOrganizationInvitations(orgId)).data.invitations, [])
  assert.deepEqual((await admin.api.removeOrganizationMember(orgId, memberId)).data, {})
  assert.deepEqual(await statuses(), [404, 401, 401, 200])
  assert.deepEqual((await leaver.api.getCurrentUserOrganizations()).data.organizations, [])
  assert.deepEqual((await leaver.api.listSharedProjects({})).data.projects, [])
  await assertRefused(leaver.api.createProject({ project: {} }), 404, /organization not found/)
})

test('a key that is made while its maker is removed is not there afterwards', async () => {
  const orgId = await makeOrganization(server, 'racing', admin)
  const leaver = await makeUser(server, 'racer@example.com')
  for (let round = 0; round < 5; round++) {
    const memberId = await join(admin, orgId, leaver, 'admin')
    const own = await makeOrganizationKey(leaver, orgId)
    const making = [own, own, leaver].map((by) =>
      request(by.server, 'POST', `/organizations/${orgId}/api_keys`, { key_name: 'late' }),
    )
    const [removed, ...made] = await Promise.all([
      request(admin.server, 'DELETE', `/organizations/${orgId}/members/${memberId}`),
      ...making,
    ])
    assert.equal(removed?.status, 200)
    for (const { status, body } of made) {
      assert.ok([200, 401, 404].includes(status), JSON.stringify(body))
      if (status !== 200) continue
      const late = { ...server, apiKey: String(body['key']) }
      assert.equal((await request(late, 'GET', '/projects')).status, 401)
    }
    assert.deepEqual((await admin.api.listOrgApiKeys(orgId)).data, [])
  }
})
