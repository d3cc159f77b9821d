// Which addresses belong to the open internet. Pure.
//
// Everything that a network of one's own, this machine, or the machine's cloud answers at is none of them: who lets strangers name
// an address to connect to asks here. The ranges are IANA's special-purpose registries (RFC 6890 and its successors).

import { BlockList, isIP } from 'node:net'

const special = new BlockList()
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  // Link-local, and where most clouds tell a machine its secrets.
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  // Looks public; it is the host below an Azure machine.
  ['168.63.129.16', 32],
] as const) {
  special.addSubnet(network, prefix, 'ipv4')
}

/** All that has ever been given out. What embeds a v4 address lies outside (`::ffff:0:0/96`, `64:ff9b::/96`) or is named below. */
const globalUnicast = new BlockList()
globalUnicast.addSubnet('2000::', 3, 'ipv6')
for (const [network, prefix] of [
  // Protocol assignments, Teredo and ORCHID among them.
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const) {
  special.addSubnet(network, prefix, 'ipv6')
}

/** False for what is no address at all. */
export function isPublicAddress(address: string): boolean {
  // A zone means something on one link only.
  if (address.includes('%')) return false
  switch (isIP(address)) {
    case 4:
      return !special.check(address, 'ipv4')
    case 6:
      return globalUnicast.check(address, 'ipv6') && !special.check(address, 'ipv6')
    default:
      return false
  }
}
