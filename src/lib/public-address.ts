// Whose an address is: everybody's, one's own network's, or nobody's to be sent to. Pure.
//
// Who lets strangers name an address to connect to asks here. The ranges are IANA's special-purpose registries (RFC 6890 and its
// successors), and where clouds tell a machine its secrets.

import { BlockList, isIP } from 'node:net'

/** `private`: this machine and networks of one's own. `special`: what no service of anybody's has as its address. */
export type AddressKind = 'public' | 'private' | 'special'

type Network = readonly [address: string, prefix: number]

const privateNetworks: readonly Network[] = [
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['::1', 128],
  ['fc00::', 7],
]

const specialNetworks: readonly Network[] = [
  ['0.0.0.0', 8],
  // Link-local, and the metadata service of most clouds; the single addresses are those of others.
  ['169.254.0.0', 16],
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
  ['fd00:ec2::254', 128],
  ['fd20:ce::254', 128],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  // Protocol assignments, Teredo and ORCHID among them; documentation; 6to4.
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]

function listOf(networks: readonly Network[], family: 4 | 6): BlockList {
  const list = new BlockList()
  for (const [address, prefix] of networks) {
    if (isIP(address) === family) list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}

// A list of both families would find a v4 address in its v6 writing too; nobody connects to those here.
const lists = {
  4: { own: listOf(privateNetworks, 4), special: listOf(specialNetworks, 4), global: listOf([['0.0.0.0', 0]], 4) },
  // All of v6 that has ever been given out. What embeds a v4 address lies outside (`::ffff:0:0/96`, `64:ff9b::/96`) or is special.
  6: { own: listOf(privateNetworks, 6), special: listOf(specialNetworks, 6), global: listOf([['2000::', 3]], 6) },
} as const

/** Undefined for what is no address at all. */
export function addressKind(address: string): AddressKind | undefined {
  const family = isIP(address)
  if (family !== 4 && family !== 6) return undefined
  // A zone means something on one link only.
  if (address.includes('%')) return 'special'
  const type = family === 4 ? 'ipv4' : 'ipv6'
  const { own, special, global } = lists[family]
  if (special.check(address, type)) return 'special'
  if (own.check(address, type)) return 'private'
  return global.check(address, type) ? 'public' : 'special'
}

export const isPublicAddress = (address: string): boolean => addressKind(address) === 'public'
