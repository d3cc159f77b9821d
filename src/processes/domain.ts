// Which base domain endpoint hosts get: the configured one, or a wildcard that leads back to this machine.

import { lookup } from 'node:dns/promises'

export type Domain = { domain: string; resolves: boolean }

/** Not `localhost` itself: Node, for one, takes no certificate for a wildcard directly below a top-level name. */
const loopbackDomain = 'db.localhost'
const loopback = new Set(['127.0.0.1', '::1'])
const lookupTimeoutMs = 1500

async function resolvesTo(host: string): Promise<string | undefined> {
  const answer = lookup(host).then(({ address }) => address)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, lookupTimeoutMs, undefined)
  })
  try {
    return await Promise.race([answer, late])
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
    answer.catch(() => {})
  }
}

/** A configured domain is taken at its word; it resolves where a made-up endpoint of it does. */
export async function findDomain(configured: string | undefined): Promise<Domain> {
  if (configured !== undefined)
    return { domain: configured, resolves: (await resolvesTo(`ep-wildcard-probe.${configured}`)) !== undefined }
  for (const domain of [loopbackDomain, 'localtest.me']) {
    const address = await resolvesTo(`ep-wildcard-probe.${domain}`)
    if (address !== undefined && loopback.has(address)) return { domain, resolves: true }
  }
  return { domain: loopbackDomain, resolves: false }
}
