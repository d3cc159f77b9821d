import { namedLimits, namesOf } from '../model/limit-change.ts'
import { effectiveLimits, type OrganizationPlan } from '../model/plan.ts'

/** What holds, by its names, and which of it an operator set. */
export function limitsView({ id, name, plan, overrides, projects }: OrganizationPlan) {
  return {
    org_id: id,
    name,
    plan,
    projects_count: projects,
    limits: namedLimits(effectiveLimits(plan, overrides)),
    overridden: namesOf(overrides),
  }
}
