// `pgrove org`: organizations, and what each may have.

import type { Config } from '../config.ts'
import { AppError } from '../model/errors.ts'
import { namesOf } from '../model/limit-change.ts'
import { effectiveLimits, limitDefinitions, planLimits, type OrganizationPlan } from '../model/plan.ts'
import { withAdmin } from './admin.ts'
import { credits, rateLimit } from './org-billing.ts'
import type { Printer } from './printer.ts'

const usage = `write one of
  pgrove org list
  pgrove org limits ORGANIZATION [NAME=VALUE …]   (its id or name; NAME=default takes the plan's value again, plan=NAME changes the plan)
  pgrove org credits ORGANIZATION [AMOUNT [NOTE]]   (gives as much; a correction below zero is written behind --)
  pgrove org rate-limit ORGANIZATION [700/min,40/s|off|default]
  pgrove org create NAME [--plan free_v3|scale_v3]`

const wrong = (message: string): AppError => new AppError('bad_request', `${message}; ${usage}`)

export async function org(
  config: Config,
  printer: Printer,
  args: readonly string[],
  options: { plan?: string | undefined } = {},
): Promise<void> {
  const [verb, name, ...rest] = args
  await withAdmin(config, async ({ call }) => {
    switch (verb) {
      case 'list':
        return printList(printer, (await call('listOrganizations', {})) as OrganizationPlan[])
      case 'limits': {
        if (name === undefined) throw wrong('which organization?')
        const wanted = parseAssignments(rest)
        const method = rest.length > 0 ? 'changeOrganization' : 'getOrganization'
        return printLimits(printer, (await call(method, { organization: name, ...wanted })) as OrganizationPlan)
      }
      case 'credits': {
        if (name === undefined) throw wrong('which organization?')
        return await credits(call, printer, name, rest)
      }
      case 'rate-limit': {
        if (name === undefined) throw wrong('which organization?')
        if (rest.length > 1) throw wrong('a rate limit is written without spaces')
        return await rateLimit(call, printer, name, rest[0])
      }
      case 'create': {
        if (name === undefined || rest.length > 0) throw wrong('an organization has one name')
        const made = (await call('createOrganization', { name, plan: options.plan })) as OrganizationPlan
        return printer.line(`made ${made.id} (${made.name}, ${made.plan}); the operator is its admin`)
      }
      case undefined:
        throw wrong('what about organizations?')
      default:
        throw wrong(`there is no ${JSON.stringify(verb)}`)
    }
  })
}

/** `name=value` as a person types it. */
export function parseAssignments(args: readonly string[]): { plan?: string; limits: Record<string, unknown> } {
  const limits: Record<string, unknown> = {}
  let plan: string | undefined
  for (const arg of args) {
    const [, name, text] = /^([^=]+)=(.*)$/s.exec(arg) ?? []
    if (name === undefined || text === undefined) throw wrong(`${JSON.stringify(arg)} is no NAME=VALUE`)
    if (name === 'plan') plan = text
    else Object.defineProperty(limits, name, { value: parseValue(text), enumerable: true, configurable: true })
  }
  return plan === undefined ? { limits } : { plan, limits }
}

const words: Readonly<Record<string, boolean | null>> = {
  default: null,
  on: true,
  true: true,
  off: false,
  false: false,
}

/** What is neither a word nor a number stays text, and is refused by whoever knows what the limit may be. */
function parseValue(text: string): unknown {
  if (Object.hasOwn(words, text)) return words[text]
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text
}

function printList(printer: Printer, organizations: readonly OrganizationPlan[]): void {
  for (const { id, name, plan, projects, overrides } of organizations) {
    const { projects: most } = effectiveLimits(plan, overrides)
    const changed = namesOf(overrides)
    printer.line(
      `${id}  ${name}  ${plan}  ${projects} of ${most} projects${changed.length > 0 ? `  changed: ${changed.join(', ')}` : ''}`,
    )
  }
}

function printLimits(printer: Printer, { id, name, plan, projects, overrides }: OrganizationPlan): void {
  printer.line(`${id}  ${name}  ${plan}  ${projects} projects`)
  const limits = effectiveLimits(plan, overrides)
  const width = Math.max(...limitDefinitions.map((definition) => definition.name.length))
  for (const { key, name: limit, meaning } of limitDefinitions) {
    const changed = overrides[key] === undefined ? '' : ` (the plan's is ${shown(planLimits(plan)[key])})`
    printer.line(`  ${limit.padEnd(width)}  ${shown(limits[key])}${changed}  ${meaning}`)
  }
}

const shown = (value: number | boolean): string => (typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value))
