// From which addresses a project lets clients in: what may be set, and what applies to a branch. Pure.

import { BlockList, isIP } from 'node:net'
import { AppError } from '../model/errors.ts'
import type { ProjectSettings } from '../model/project.ts'

export type AddressRules = { allowedIps: readonly string[] | undefined; publicBlocked: boolean }

export function addressRules(settings: ProjectSettings, branchProtected: boolean): AddressRules {
  const { ips, protected_branches_only: protectedOnly } = (settings['allowed_ips'] ?? {}) as {
    ips?: string[] | null
    protected_branches_only?: boolean | null
  }
  const applies = ips && ips.length > 0 && (protectedOnly !== true || branchProtected)
  return { allowedIps: applies ? ips : undefined, publicBlocked: settings['block_public_connections'] === true }
}

const mostEntries = 1000

/** Throws `bad_request` that names the entry: one that matches nothing would keep everybody out without a word. */
export function assertAllowedIps(ips: readonly unknown[]): void {
  if (ips.length > mostEntries)
    throw new AppError('bad_request', `allowed_ips.ips has more than ${mostEntries} entries`)
  for (const entry of ips) {
    if (typeof entry === 'string' && isAddressEntry(entry)) continue
    throw new AppError(
      'bad_request',
      `allowed_ips.ips: ${JSON.stringify(String(entry).slice(0, 100))} is no IP address, no range such as 10.0.0.1-10.0.0.9 and no network such as 10.0.0.0/8`,
    )
  }
}

function isAddressEntry(entry: string): boolean {
  const list = new BlockList()
  const [, network, prefix] = /^([^/]+)\/(\d{1,3})$/.exec(entry) ?? []
  const [, first, last] = /^([^-\s]+)\s*-\s*([^-\s]+)$/.exec(entry) ?? []
  try {
    if (network !== undefined && prefix !== undefined) {
      const family = familyOf(network)
      if (family) list.addSubnet(network, Number(prefix), family)
      return family !== undefined
    }
    if (first !== undefined && last !== undefined) {
      const family = familyOf(first)
      if (!family || familyOf(last) !== family) return false
      list.addRange(first, last, family)
      return true
    }
    return familyOf(entry) !== undefined
  } catch {
    // A prefix that is too long, a range that runs backwards.
    return false
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' | undefined {
  // A zone means something on one machine only.
  if (address.includes('%')) return undefined
  return ({ 4: 'ipv4', 6: 'ipv6' } as const)[isIP(address) as 4 | 6]
}
