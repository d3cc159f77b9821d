// An operator's wish to change what an organization may have: by the names that people use, checked against the table of limits.

import { AppError } from './errors.ts'
import {
  effectiveLimits,
  isPlanName,
  limitDefinitions,
  planNames,
  type LimitDefinition,
  type LimitOverrides,
  type OrganizationLimits,
  type PlanName,
} from './plan.ts'

/** Values by their names; null: the plan's own again. */
export type LimitValues = Readonly<Record<string, unknown>>

const bad = (message: string): AppError => new AppError('bad_request', message)

const definitions = new Map(limitDefinitions.map((definition) => [definition.name, definition]))

function definitionOf(name: string): LimitDefinition {
  const found = definitions.get(name)
  if (found) return found
  throw bad(`there is no limit ${JSON.stringify(name)}; there are ${[...definitions.keys()].join(', ')}`)
}

function checked(definition: LimitDefinition, value: unknown): number | boolean {
  const { name } = definition
  if (definition.kind === 'switch') {
    if (typeof value === 'boolean') return value
    throw bad(`${name} is a switch: it is true or false, or null for what the plan says`)
  }
  const { least, most, step } = definition
  if (typeof value === 'number' && value >= least && value <= most && value % step === 0) return value
  const steps = step === 1 ? 'a whole number' : `in steps of ${step}`
  throw bad(`${name} must be ${steps} from ${least} to ${most}, or null for what the plan says`)
}

/** The overrides with these changes in them. Throws `bad_request` with the name that is wrong and what may stand there. */
export function changedOverrides(plan: string, before: LimitOverrides, values: LimitValues): LimitOverrides {
  const after: Record<string, number | boolean> = { ...before }
  for (const [name, value] of Object.entries(values)) {
    const definition = definitionOf(name)
    if (value === null) delete after[definition.key]
    else after[definition.key] = checked(definition, value)
  }
  const { minCu, maxCu } = effectiveLimits(plan, after)
  if (minCu > maxCu) throw bad(`min_cu (${minCu}) must not be greater than max_cu (${maxCu})`)
  return after
}

export function assertPlanName(text: string): PlanName {
  if (isPlanName(text)) return text
  throw bad(`there is no plan ${JSON.stringify(text)}; there are ${planNames.join(', ')}`)
}

/** By their names, in the table's order. */
export function namedLimits(limits: OrganizationLimits): Record<string, number | boolean> {
  return Object.fromEntries(limitDefinitions.map(({ name, key }) => [name, limits[key]]))
}

export const namesOf = (overrides: LimitOverrides): string[] =>
  limitDefinitions.flatMap(({ name, key }) => (overrides[key] === undefined ? [] : [name]))
