import assert from 'node:assert/strict'
import { test } from 'node:test'
import { operationRequirements } from '../control/authorization.ts'
import type { Place } from '../control/access.ts'
import type { Requirement } from '../control/authorization.ts'
import type { Control } from '../control/control.ts'
import { isAppError, AppError } from '../model/errors.ts'
import { contractCacheFolder } from './contract/coverage-page.ts'
import { withAdditions } from './contract/additions.ts'
import { loadContract } from './contract/load.ts'
import type { Match } from './contract/path-matcher.ts'
import * as fake from './fake-control.ts'
import { askGate, assertBodysProject } from './gate.ts'

const contract = withAdditions(await loadContract({ cacheFolder: contractCacheFolder() }))
const caller = { kind: 'user', userId: fake.user.id, keyId: 7 } as const

function matchOf(id: string, params: Record<string, string>): Match {
  const operation = contract.operations.find((each) => each.id === id)
  assert.ok(operation, id)
  return { operation, params }
}

/** Refuses everything, and remembers what it was asked. */
function refusing(): { control: Control; asked: [Requirement, Place][] } {
  const asked: [Requirement, Place][] = []
  const authorize: Control['authorize'] = async (_, requirement, place) => {
    asked.push([requirement, place])
    return { orgId: undefined, refusal: new AppError('forbidden', 'no') }
  }
  return { control: { ...fake.fakeControl(), authorize }, asked }
}

test('every operation that is routed has its row, and every row its operation', () => {
  assert.deepEqual(Object.keys(operationRequirements).toSorted(), contract.operations.map(({ id }) => id).toSorted())
})

test('what the path names is what is asked about', async () => {
  const { control, asked } = refusing()
  const passages = [
    await askGate(control, caller, matchOf('getProject', { project_id: 'p-1' })),
    await askGate(control, caller, matchOf('getOrganization', { org_id: 'org-1' })),
    await askGate(control, caller, matchOf('transferProjectsFromOrgToOrg', { source_org_id: 'org-2' })),
    await askGate(control, caller, matchOf('createProject', {})),
  ]
  assert.ok(passages.every(({ refusal }) => isAppError(refusal, 'forbidden')))
  assert.deepEqual(asked, [
    ['project:read', { projectId: 'p-1', orgId: undefined }],
    ['organization:read', { projectId: undefined, orgId: 'org-1' }],
    ['organization:transfer', { projectId: undefined, orgId: 'org-2' }],
    ['projects:create', { projectId: undefined, orgId: undefined }],
  ])
})

test('a path that cannot be meant is refused before anything is asked', async () => {
  const { control, asked } = refusing()
  for (const params of [{ project_id: 'A B' }, { project_id: 'x'.repeat(61) }, { project_id: 'p\0' }])
    await assert.rejects(askGate(control, caller, matchOf('getProject', params)), { code: 'bad_request' })
  assert.deepEqual(asked, [])
})

test('a project that only the body names is asked about once the body is there', async () => {
  const { control, asked } = refusing()
  const match = matchOf('createNeonAuthIntegration', {})
  assert.equal((await askGate(control, caller, match)).refusal, undefined)
  assert.deepEqual(asked, [])
  await assert.rejects(assertBodysProject(control, caller, match, { project_id: 'p-1' }), { code: 'forbidden' })
  assert.deepEqual(asked, [['project:write', { projectId: 'p-1' }]])
  await assertBodysProject(control, caller, matchOf('getProject', { project_id: 'p-1' }), { project_id: 'p-2' })
  assert.equal(asked.length, 1, 'where the path says it, the body says nothing')
})
