// Which of Microsoft's directories people sign in from: an id, a domain, or one of the names that stand for several.

import { AppError } from './errors.ts'

const longest = 200
const label = '[a-z0-9](?:[a-z0-9-]*[a-z0-9])?'
const pattern = new RegExp(`^${label}(?:\\.${label})*$`, 'i')

/** In the path of the URLs that secrets are sent to: one plain segment. Throws `bad_request`. */
export function toMicrosoftTenant(tenant: string | undefined): string {
  if (tenant === undefined || tenant === '') return 'common'
  if (tenant.length > longest || !pattern.test(tenant))
    throw new AppError('bad_request', 'microsoft_tenant_id is the id or domain name of a directory, or "common"')
  return tenant.toLowerCase()
}
