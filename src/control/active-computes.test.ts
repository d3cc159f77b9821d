import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EndpointId, OrganizationId } from '../model/ids.ts'
import type { StartPlace } from '../model/start-place.ts'
import { ActiveComputes } from './active-computes.ts'
import type { ControlContext } from './context.ts'

type Owner = { id: string; org_id: string; is_default: boolean }

/** With rows that say whose endpoints are now. */
function activeComputes(rows: readonly Owner[] = []): ActiveComputes {
  const store = { query: async () => rows }
  return new ActiveComputes(() => ({ store }) as unknown as ControlContext)
}

const endpoint = (name: string): EndpointId => name as EndpointId

const place = (limits: Partial<StartPlace['limits']> = {}, other: Partial<StartPlace> = {}): StartPlace => ({
  orgId: 'org-a' as OrganizationId,
  isDefault: false,
  limits: { activeComputes: 2, defaultBranchesExempt: true, ...limits },
  ...other,
})

const full = { code: 'quota_exceeded', apiCode: 'ACTIVE_ENDPOINTS_LIMIT_EXCEEDED', message: /limit of 2 exceeded/ }

test('as many as may run get a place, however many ask at once', async () => {
  const active = activeComputes()
  const claims = Array.from({ length: 20 }, (_, index) => active.claim(endpoint(`ep-${index}`), place()))
  const outcomes = await Promise.allSettled(claims)
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 2)
})

test('who has a place keeps it, and one that is given back is another’s', async () => {
  const active = activeComputes()
  await active.claim(endpoint('ep-1'), place())
  await active.claim(endpoint('ep-2'), place())
  await active.claim(endpoint('ep-1'), place())
  await assert.rejects(active.claim(endpoint('ep-3'), place()), full)
  active.release('ep-1')
  await active.claim(endpoint('ep-3'), place())
  await assert.rejects(active.claim(endpoint('ep-1'), place()), full)
})

test('organizations do not count for each other, and a default branch counts only where that is said', async () => {
  const active = activeComputes()
  const other = { orgId: 'org-b' as OrganizationId }
  for (const name of ['ep-1', 'ep-2']) await active.claim(endpoint(name), place({}, { isDefault: true }))
  for (const name of ['ep-3', 'ep-4']) await active.claim(endpoint(name), place())
  for (const name of ['ep-5', 'ep-6']) await active.claim(endpoint(name), place({}, other))
  await active.claim(endpoint('ep-7'), place({}, { isDefault: true }))
  await assert.rejects(active.claim(endpoint('ep-8'), place()), full)
  const counted = place({ defaultBranchesExempt: false }, { isDefault: true })
  await assert.rejects(active.claim(endpoint('ep-8'), counted), full)
})

test('what runs or has to is counted and not refused', async () => {
  const active = activeComputes()
  for (const name of ['ep-1', 'ep-2', 'ep-3']) active.take(endpoint(name), place())
  await assert.rejects(active.claim(endpoint('ep-4'), place()), full)
})

test('reads of the past of a default branch count, under names of their own', async () => {
  const active = activeComputes()
  const read = place({}, { isDefault: true })
  await active.claim(endpoint('ep-1'), read, 'ep-1/a')
  await active.claim(endpoint('ep-1'), read, 'ep-1/b')
  await active.claim(endpoint('ep-1'), read)
  await assert.rejects(active.claim(endpoint('ep-1'), read, 'ep-1/c'), full)
})

test('before anybody is refused, it is looked up whose the others are now', async () => {
  const moved = { id: 'ep-1', org_id: 'org-b', is_default: false }
  const made = { id: 'ep-2', org_id: 'org-a', is_default: true }
  const active = activeComputes([moved, made])
  await active.claim(endpoint('ep-1'), place())
  await active.claim(endpoint('ep-2'), place())
  await active.claim(endpoint('ep-3'), place())
  await active.claim(endpoint('ep-4'), place())
  await assert.rejects(active.claim(endpoint('ep-5'), place()), full)
})
