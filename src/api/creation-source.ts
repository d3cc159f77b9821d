// What `creation_source` says: who made a thing, as far as the User-Agent tells.

/** `neonctl v5.0.1` → `neonctl`; programs over any of the HTTP libraries are `api`, as they are at Neon. */
export function creationSourceOf(userAgent: string | undefined): string {
  const product = /^[A-Za-z][A-Za-z0-9-]{0,31}/.exec(userAgent ?? '')?.[0].toLowerCase()
  return product !== undefined && namedClients.has(product) ? product : 'api'
}

const namedClients: ReadonlySet<string> = new Set(['neonctl', 'neon', 'console', 'mcp-server-neon', 'terraform'])
