// Processes of our own beside control that answer HTTP for tenants' apps, and which request is for which. Pure: the edge asks for the
// service, the service itself for the rest.
//
//   ep-….neonauth.<domain>/<database>/auth/…      /<endpoint>/<database>/auth/…      /api/v1/…

export const serviceNames = ['auth'] as const
export type ServiceName = (typeof serviceNames)[number]

export type ServiceRoute =
  | {
      service: 'auth'
      surface: 'better_auth'
      endpointId: string
      /** Undefined for the key set at the root of an endpoint's host. */
      database: string | undefined
      /** Below the surface's root, with its query. */
      path: string
    }
  /** Which project it is for, the surface finds out. */
  | { service: 'auth'; surface: 'stack'; path: string }
  /** A host or path of a service, that leads nowhere in it. */
  | { service: ServiceName; surface: 'none' }

const endpointPattern = /^ep-[a-z0-9-]{1,60}$/
const stackRoot = '/api/v1'
const rootKeySet = '/.well-known/jwks.json'
const longestDatabaseBytes = 63

/** `host`: as the request has it, with its port. `target`: path and query, as they came. Undefined: the request is for none of them. */
export function serviceRouteOf(
  host: string | undefined,
  target: string,
  domains: readonly string[],
): ServiceRoute | undefined {
  const at = target.indexOf('?')
  const path = at < 0 ? target : target.slice(0, at)
  const query = at < 0 ? '' : target.slice(at)
  const named = endpointOfHost(host, domains)
  if (named) {
    const { service, endpointId } = named
    if (path === rootKeySet)
      return { service, surface: 'better_auth', endpointId, database: undefined, path: path + query }
    return routeBelow(service, endpointId, path, query) ?? { service, surface: 'none' }
  }
  if (path === stackRoot || path.startsWith(`${stackRoot}/`)) {
    const below = path.slice(stackRoot.length) || '/'
    return isPlain(below)
      ? { service: 'auth', surface: 'stack', path: below + query }
      : { service: 'auth', surface: 'none' }
  }
  const [, endpointId = '', rest] = /^\/([^/]+)(\/.+)$/.exec(path) ?? []
  return rest !== undefined && endpointPattern.test(endpointId)
    ? routeBelow('auth', endpointId, rest, query)
    : undefined
}

/** What stands between an endpoint's label and the domain, as Neon has it. */
const services: Readonly<Record<string, ServiceName>> = { neonauth: 'auth' }
export const serviceLabels = Object.keys(services)

function endpointOfHost(
  host: string | undefined,
  domains: readonly string[],
): { service: ServiceName; endpointId: string } | undefined {
  const name = (host ?? '').toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')
  const [, endpointId = '', label = '', domain = ''] = /^([^.]+)\.([^.]+)\.(.+)$/.exec(name) ?? []
  const service = Object.hasOwn(services, label) ? services[label] : undefined
  return service && domains.includes(domain) && endpointPattern.test(endpointId) ? { service, endpointId } : undefined
}

/** `/<database>/auth…` */
function routeBelow(service: ServiceName, endpointId: string, path: string, query: string): ServiceRoute | undefined {
  const [, encoded = '', rest] = /^\/([^/]+)\/auth(\/.*)?$/.exec(path) ?? []
  const database = databaseOf(encoded)
  if (database === undefined) return undefined
  const below = rest ?? '/'
  if (!isPlain(below)) return { service, surface: 'none' }
  return { service, surface: 'better_auth', endpointId, database, path: below + query }
}

/** Undefined for what can be no name of a database. A slash in one has to be encoded; it divides nothing then. */
function databaseOf(encoded: string): string | undefined {
  let name: string
  try {
    name = decodeURIComponent(encoded)
  } catch {
    return undefined
  }
  if (name === '' || name === '.' || name === '..' || name.includes('\0')) return undefined
  return new TextEncoder().encode(name).length > longestDatabaseBytes ? undefined : name
}

/** Whether a URL made of it is still below where it was put: as URLs are read, `\` is `/`, `%2e` is a dot, and tabs are nothing. */
function isPlain(path: string): boolean {
  // oxlint-disable-next-line no-control-regex
  if (/[\\\u0000-\u0020\u007f]/.test(path)) return false
  return path.split('/').every((segment) => !/^(?:\.|%2e){1,2}$/i.test(segment))
}
