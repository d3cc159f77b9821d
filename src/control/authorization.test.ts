// What holds of the table of roles whatever is added to it. What single operations ask for, `test/api/authorization.test.ts` walks.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Caller } from '../model/caller.ts'
import type { OrganizationId, ProjectId, UserId } from '../model/ids.ts'
import {
  isMemberRole,
  may,
  operationRequirements,
  refusal,
  requirements,
  roles,
  scopeOf,
  type Requirement,
  type Role,
} from './authorization.ts'

const keyed = { userId: 'user-secret' as UserId, keyId: 4711 }
const orgId = 'org-secret' as OrganizationId
const projectId = 'project-secret' as ProjectId
const caller: fc.Arbitrary<Caller> = fc.constantFrom<Caller[]>(
  { kind: 'user', ...keyed },
  { kind: 'organization', ...keyed, orgId },
  { kind: 'project', ...keyed, orgId, projectId },
)
const role = fc.constantFrom(...roles)
const requirement = fc.constantFrom(...requirements)
/** Of one project or organization; of the rest, who a caller is does not depend on a resource. */
const ofResource = requirement.filter((each) => scopeOf(each) !== 'caller')

/** Each may whatever the one before may, as far as resources go. */
const ladder: readonly Role[] = ['stranger', 'viewer', 'editor', 'member', 'organization_key', 'admin']

test('nobody may less for having a higher role', () => {
  const step = fc.integer({ min: 0, max: ladder.length - 2 })
  fc.assert(
    fc.property(step, requirement, (at, asked) => {
      const [lower, higher] = [ladder[at] as Role, ladder[at + 1] as Role]
      assert.ok(!may(lower, asked) || may(higher, asked), `${lower} may ${asked}, ${higher} may not`)
    }),
  )
})

test('what is not his to see, a stranger may nothing with', () => {
  fc.assert(fc.property(ofResource, (asked) => assert.equal(may('stranger', asked), false)))
})

test('only people do what is personal, and only admins in person move projects', () => {
  const people: readonly Role[] = ['user', 'operator']
  fc.assert(
    fc.property(role, (each) => {
      if (may(each, 'personal')) assert.ok(people.includes(each))
      if (may(each, 'operator')) assert.equal(each, 'operator')
      if (may(each, 'organization:transfer')) assert.equal(each, 'admin')
    }),
  )
})

test("a project's key, and whom a project is shared with, may what a member may in it but for its quotas, and nothing outside", () => {
  fc.assert(
    fc.property(fc.constantFrom<Role[]>('project_key', 'collaborator'), requirement, (each, asked) => {
      if (asked === 'project:limit') assert.ok(!may(each, asked))
      else if (scopeOf(asked) === 'project') assert.equal(may(each, asked), may('member', asked))
      else assert.equal(may(each, asked), asked === 'anyone')
    }),
  )
})

test('whoever may change or give away may also read', () => {
  fc.assert(
    fc.property(role, ofResource, (each, asked) => {
      if (may(each, asked) && asked.startsWith('project:')) assert.ok(may(each, 'project:read'))
      if (may(each, asked) && asked.startsWith('organization:')) assert.ok(may(each, 'organization:read'))
    }),
  )
})

test('a refusal is 404 exactly for what is not to be seen, and names nothing', () => {
  fc.assert(
    fc.property(caller, role, requirement, (who, each, asked) => {
      fc.pre(!may(each, asked))
      const { code, message } = refusal(who, each, asked)
      const hidden = each === 'stranger' && scopeOf(asked) !== 'caller'
      assert.equal(code, hidden ? 'not_found' : 'forbidden')
      assert.doesNotMatch(message, /secret|4711/)
    }),
  )
})

test('every operation asks for something that somebody may, and every member role is a role', () => {
  const asked = new Set<Requirement>(Object.values(operationRequirements))
  for (const each of asked)
    assert.ok(
      roles.some((holder) => may(holder, each)),
      each,
    )
  fc.assert(fc.property(fc.string(), (text) => !isMemberRole(text) || roles.includes(text)))
})
