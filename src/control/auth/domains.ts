// Where users' browsers may be sent: domains that an integration trusts beside localhost.

import { AppError } from '../../model/errors.ts'
import { deleteAuthDomains, insertAuthDomain, listAuthDomains } from '../../store/auth/domains.ts'
import type { ControlContext } from '../context.ts'
import type { AuthControl } from './auth-control.ts'
import { changeIntegration, visibleIntegration } from './find.ts'
import { normalDomain } from './trusted-domains.ts'

const mostDomains = 1000

export function authDomainControl(control: ControlContext): AuthControl['domains'] {
  return {
    async list(caller, place) {
      const { id, provider } = await visibleIntegration(control, caller, place)
      return { domains: await listAuthDomains(control.store, id), provider }
    },

    async add(caller, place, text) {
      const domain = await normalDomain(text)
      await changeIntegration(control, caller, place, async (sql, { id }) => {
        const there = await listAuthDomains(sql, id)
        if (there.includes(domain)) return
        if (there.length >= mostDomains)
          throw new AppError('unprocessable', `an integration has at most ${mostDomains} trusted domains`)
        await insertAuthDomain(sql, id, domain)
      })
    },

    async delete(caller, place, texts) {
      const domains = await Promise.all(texts.map(normalDomain))
      await changeIntegration(control, caller, place, async (sql, { id }) => {
        const there = new Set(await listAuthDomains(sql, id))
        const missing = domains.find((domain) => !there.has(domain))
        if (missing !== undefined)
          throw new AppError('not_found', `${missing} is not among the trusted domains; none was removed`)
        await deleteAuthDomains(sql, id, domains)
      })
    },
  }
}
