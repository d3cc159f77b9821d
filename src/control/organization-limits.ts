// Operators look at what organizations may have, and change it. It holds from the next thing that somebody asks for.

import type { Caller } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import { assertPlanName, changedOverrides, type LimitValues } from '../model/limit-change.ts'
import type { OrganizationPlan } from '../model/plan.ts'
import type { Sql } from '../store/database.ts'
import {
  findOrganizationPlans,
  listOrganizationPlans,
  lockOrganizationPlan,
  setOrganizationPlan,
} from '../store/organization-limits.ts'
import { firstUser } from '../store/accounts.ts'
import { assertMay, organizationNotFound } from './access.ts'
import { makeOrganization } from './accounts.ts'
import { recordOperatorAction } from './audit-log.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'
import { assertDisplayName } from './names.ts'

/** Values by the names of the table of limits; null: the plan's own again. */
export type LimitChange = { plan?: string | undefined; limits?: LimitValues | undefined }

async function change(sql: Sql, orgId: string, { plan: wanted, limits = {} }: LimitChange): Promise<OrganizationPlan> {
  const before = await lockOrganizationPlan(sql, orgId)
  if (!before) throw organizationNotFound()
  const plan = wanted === undefined ? before.plan : assertPlanName(wanted)
  const overrides = changedOverrides(plan, before.overrides, limits)
  await setOrganizationPlan(sql, before.id, { plan, overrides })
  return { ...before, plan, overrides }
}

export function organizationLimitControl(control: ControlContext): Control['organizationLimits'] {
  const operator = async (caller: Caller): Promise<void> => void (await assertMay(control.store, caller, 'operator'))
  return {
    async get(caller, orgId) {
      await operator(caller)
      const found = (await findOrganizationPlans(control.store, orgId)).find(({ id }) => id === orgId)
      if (!found) throw organizationNotFound()
      return found
    },
    async change(caller, orgId, wanted) {
      await operator(caller)
      return await control.store.transaction((sql) => change(sql, orgId, wanted))
    },
  }
}

/** For whoever sits at the machine and may use its sockets. Organizations are named by id, name or handle. */
export type OrganizationAdmin = {
  list(): Promise<OrganizationPlan[]>
  get(organization: string): Promise<OrganizationPlan>
  change(organization: string, wanted: LimitChange): Promise<OrganizationPlan>
  /** With the first user as its admin. */
  create(name: string, plan: string | undefined): Promise<OrganizationPlan>
}

export function organizationAdmin(control: ControlContext): OrganizationAdmin {
  return {
    list: () => listOrganizationPlans(control.store),
    get: (organization) => namedOrganization(control.store, organization),
    async change(organization, wanted) {
      const changed = await control.store.transaction(async (sql) =>
        change(sql, (await namedOrganization(sql, organization)).id, wanted),
      )
      note(control, changed, 'updateOrganizationLimits')
      return changed
    },
    async create(name, plan = 'scale_v3') {
      assertDisplayName(name, 'organization')
      assertPlanName(plan)
      const made = await control.store.transaction(async (sql) => {
        const admin = await firstUser(sql)
        if (!admin) throw new AppError('internal', 'there is no first user')
        const { id } = await makeOrganization(sql, { name, plan }, admin.id)
        return { id, name, plan, overrides: {}, projects: 0 }
      })
      note(control, made, 'createOrganization')
      return made
    },
  }
}

const note = (control: ControlContext, { id }: OrganizationPlan, operationId: string): void =>
  recordOperatorAction(control, { orgId: id, operationId, resources: { org_id: id } })

export async function namedOrganization(sql: Sql, text: string): Promise<OrganizationPlan> {
  const found = await findOrganizationPlans(sql, text)
  const [first] = found
  if (!first) {
    throw new AppError('not_found', `there is no organization ${JSON.stringify(text)}; \`pgrove org list\` shows them`)
  }
  if (first.id === text || found.length === 1) return first
  throw new AppError(
    'bad_request',
    `${found.length} organizations are called ${JSON.stringify(text)}: name one by its id, ${found.map(({ id }) => id).join(', ')}`,
  )
}
