// Which addresses a project lets in. Entries are single addresses, ranges (`10.0.0.1-10.0.0.9`) and CIDR, v4 and v6; one that cannot be
// read matches nothing.

import { BlockList, isIP } from 'node:net'

const privateNetworks = new BlockList()
for (const [network, prefix] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['169.254.0.0', 16],
  ['127.0.0.0', 8],
] as const) {
  privateNetworks.addSubnet(network, prefix, 'ipv4')
}
privateNetworks.addAddress('::1', 'ipv6')
privateNetworks.addSubnet('fc00::', 7, 'ipv6')
privateNetworks.addSubnet('fe80::', 10, 'ipv6')

/** As a person writes it: without the prefix of a v4 address on a v6 socket, without a zone. */
export function plainAddress(address: string): string {
  const plain = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address
  return plain.split('%')[0] ?? plain
}

export function isAllowed(address: string | undefined, entries: readonly string[]): boolean {
  if (address === undefined) return false
  const plain = plainAddress(address)
  const family = familyOf(plain)
  return family !== undefined && compiled(entries).check(plain, family)
}

/** This machine, private networks and their v6 counterparts. */
export function isPrivate(address: string | undefined): boolean {
  if (address === undefined) return false
  const plain = plainAddress(address)
  const family = familyOf(plain)
  return family !== undefined && privateNetworks.check(plain, family)
}

const cache = new WeakMap<readonly string[], BlockList>()

function compiled(entries: readonly string[]): BlockList {
  const known = cache.get(entries)
  if (known) return known
  const list = new BlockList()
  for (const entry of entries) addEntry(list, entry.trim())
  cache.set(entries, list)
  return list
}

function addEntry(list: BlockList, entry: string): void {
  try {
    if (entry.includes('/')) {
      const [network = '', prefix = ''] = entry.split('/')
      const family = familyOf(network)
      if (family && /^\d{1,3}$/.test(prefix)) list.addSubnet(network, Number(prefix), family)
    } else if (entry.includes('-')) {
      const [first = '', last = ''] = entry.split('-').map((each) => each.trim())
      const family = familyOf(first)
      if (family && familyOf(last) === family) list.addRange(first, last, family)
    } else {
      const family = familyOf(entry)
      if (family) list.addAddress(entry, family)
    }
  } catch {
    // A prefix that is too long, a range that runs backwards: it matches nothing.
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' | undefined {
  switch (isIP(address)) {
    case 4:
      return 'ipv4'
    case 6:
      return 'ipv6'
    default:
      return undefined
  }
}
