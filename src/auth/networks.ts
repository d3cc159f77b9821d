// Whom an address counts as where it is counted.

import { isIPv4, isIPv6 } from 'node:net'

/** What one stranger can have addresses in, the narrowest first: one of v4; a /64 of v6, and the /48 that it is in. */
export function networksOf(address: string): readonly [string, string?] {
  const plain = /^::ffff:([\d.]+)$/i.exec(address)?.[1] ?? address
  if (isIPv4(plain)) return [plain]
  if (!isIPv6(plain)) return ['unknown']
  const [head = '', tail] = (plain.toLowerCase().split('%')[0] ?? '').split('::')
  const groups = head.split(':').filter(Boolean)
  const rest = (tail ?? '').split(':').filter(Boolean)
  const zeros = Array.from({ length: Math.max(0, 8 - groups.length - rest.length) }, () => '0')
  const all = [...groups, ...zeros, ...rest].map((group) => Number.parseInt(group, 16).toString(16))
  return [all.slice(0, 4).join(':'), `${all.slice(0, 3).join(':')}/48`]
}
