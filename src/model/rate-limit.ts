// How often an account may ask. Pure: what is written in the configuration, and which budgets one request draws on.
//
// A budget of 700 a minute is a bucket that holds 700 and gets 700 back in a minute, evenly: that many may come at once, after a pause.

/** `count` in `seconds`. */
export type Pace = { count: number; seconds: number }

/** The paces of one account; each of its routes has a bucket of its own at `route`. */
export type RateLimits = { account: Pace; route: Pace; apiKeys: Pace; consumption: Pace }

/** Neon's. */
export const defaultRateLimits: RateLimits = {
  account: { count: 700, seconds: 60 },
  route: { count: 40, seconds: 1 },
  apiKeys: { count: 10, seconds: 1 },
  consumption: { count: 30, seconds: 60 },
}

export const rateLimitForm =
  'write a number a minute for an account and one a second for each of its routes, such as 700/min,40/s (api_keys=10/s and consumption=30/min may follow), or off'

const entry = /^(?:(api_keys|consumption)=)?([1-9]\d{0,6})\/(s|min)$/

/** What is not named stays as in `base`. Undefined where the text cannot be read. */
export function parseRateLimits(text: string, base: RateLimits): RateLimits | 'off' | undefined {
  if (text === 'off') return 'off'
  const limits = { ...base }
  for (const part of text.split(',')) {
    const [, name, count, unit] = entry.exec(part.trim()) ?? []
    if (count === undefined) return undefined
    const pace = { count: Number(count), seconds: unit === 's' ? 1 : 60 }
    if (name === 'api_keys') limits.apiKeys = pace
    else if (name === 'consumption') limits.consumption = pace
    else if (unit === 's') limits.route = pace
    else limits.account = pace
  }
  return limits
}

const paceText = ({ count, seconds }: Pace): string => `${count}/${seconds === 1 ? 's' : 'min'}`

export function rateLimitText(limits: RateLimits | 'off'): string {
  if (limits === 'off') return 'off'
  const { account, route, apiKeys, consumption } = limits
  return `${paceText(account)},${paceText(route)},api_keys=${paceText(apiKeys)},consumption=${paceText(consumption)}`
}

/** One bucket of an account. */
export type Budget = { name: string; pace: Pace; of: string }

const consumptionRoutes: ReadonlySet<string> = new Set([
  'getConsumptionHistoryPerProject',
  'getConsumptionHistoryPerProjectV2',
  'getConsumptionHistoryPerBranchV2',
])

/** All that a request of this operation draws on. */
export function budgetsOf(operationId: string, limits: RateLimits): Budget[] {
  const account: Budget = { name: 'all', pace: limits.account, of: 'this account' }
  const pace = operationId === 'createOrgApiKey' ? limits.apiKeys : limits.route
  const route: Budget = { name: operationId, pace, of: `${operationId} and this account` }
  if (!consumptionRoutes.has(operationId)) return [account, route]
  return [account, route, { name: 'consumption', pace: limits.consumption, of: 'consumption_history and this account' }]
}

/** For the one who was refused. `waitMs`: until there is room again. */
export function refusalText({ pace, of }: Budget, waitMs: number): string {
  const seconds = Math.max(1, Math.ceil(waitMs / 1000))
  const period = pace.seconds === 1 ? 'second' : 'minute'
  return `rate limit of ${pace.count} requests a ${period} for ${of} exceeded; try again in ${seconds} second${seconds === 1 ? '' : 's'}`
}
