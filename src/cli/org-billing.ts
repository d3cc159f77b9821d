// `pgrove org credits` and `pgrove org rate-limit`.

import type { creditsView } from '../api/cost-view.ts'
import type { RateLimitOf } from '../control/params.ts'
import type { Printer } from './printer.ts'

type Call = (method: string, params: Record<string, unknown>) => Promise<unknown>

type Credits = ReturnType<typeof creditsView>

export async function credits(
  call: Call,
  printer: Printer,
  organization: string,
  args: readonly string[],
): Promise<void> {
  const [amount, ...words] = args
  const account = await (amount === undefined
    ? call('getCredits', { organization })
    : call('grantCredit', { organization, amount, note: words.join(' ') }))
  const { org_id: id, remaining, currency, grants } = account as Credits
  printer.line(`${id}  ${remaining} ${currency} left`)
  for (const { created_at: at, amount: given, note } of grants) printer.line(`  ${at}  ${given} ${currency}  ${note}`)
}

/** `default`: as everybody's. */
export async function rateLimit(
  call: Call,
  printer: Printer,
  organization: string,
  text: string | undefined,
): Promise<void> {
  const limit = await (text === undefined
    ? call('getRateLimit', { organization })
    : call('setRateLimit', { organization, ...(text === 'default' ? {} : { rateLimit: text }) }))
  const { text: shown, isDefault } = limit as RateLimitOf
  printer.line(`${organization}  ${shown}${isDefault ? '  (as everybody’s)' : ''}`)
}
