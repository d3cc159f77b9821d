// Processes of our own beside control that answer HTTP for tenants' apps, and which request is for which. Pure: the edge asks for the
// service, the service itself for the rest.
//
//   ep-….neonauth.<domain>/<database>/auth/…      /<endpoint>/<database>/auth/…      /api/v1/…
//   ep-….apirest.<domain>/<database>/rest/v1/…    /<endpoint>/<database>/rest/v1/…

export const serviceNames = ['auth', 'data-api'] as const
export type ServiceName = (typeof serviceNames)[number]

/** What answers at the path of a database. */
type SurfaceName = 'better_auth' | 'rest'

type DatabaseRoute<Service extends ServiceName, Surface extends SurfaceName> = {
  service: Service
  surface: Surface
  endpointId: string
  database: string
  /** Below the surface's root, with its query. */
  path: string
}

export type ServiceRoute =
  | DatabaseRoute<'auth', 'better_auth'>
  /** The key set at the root of an endpoint's host, whatever the database. */
  | (Omit<DatabaseRoute<'auth', 'better_auth'>, 'database'> & { database: undefined })
  | DatabaseRoute<'data-api', 'rest'>
  /** Which project it is for, the surface finds out. */
  | { service: 'auth'; surface: 'stack'; path: string }
  /** A host or path of a service, that leads nowhere in it. */
  | { service: ServiceName; surface: 'none' }

/** `label` stands between an endpoint and the domain, `root` behind the database; both as Neon has them. */
const places = [
  { service: 'auth', surface: 'better_auth', label: 'neonauth', root: '/auth' },
  { service: 'data-api', surface: 'rest', label: 'apirest', root: '/rest/v1' },
] as const
type Place = (typeof places)[number]

export function servicePlaceOf(service: ServiceName): Place {
  const place = places.find((each) => each.service === service)
  if (!place) throw new Error(`service ${service} has no place`)
  return place
}

export const serviceLabels: readonly string[] = places.map(({ label }) => label)

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
    const { place, endpointId } = named
    if (place.service === 'auth' && path === rootKeySet)
      return { service: 'auth', surface: 'better_auth', endpointId, database: undefined, path: path + query }
    return routeBelow(place, endpointId, path, query) ?? { service: place.service, surface: 'none' }
  }
  if (path === stackRoot || path.startsWith(`${stackRoot}/`)) {
    const below = path.slice(stackRoot.length) || '/'
    return isPlain(below)
      ? { service: 'auth', surface: 'stack', path: below + query }
      : { service: 'auth', surface: 'none' }
  }
  const [, endpointId = '', rest] = /^\/([^/]+)(\/.+)$/.exec(path) ?? []
  if (rest === undefined || !endpointPattern.test(endpointId)) return undefined
  for (const place of places) {
    const route = routeBelow(place, endpointId, rest, query)
    if (route) return route
  }
  return undefined
}

function endpointOfHost(
  host: string | undefined,
  domains: readonly string[],
): { place: Place; endpointId: string } | undefined {
  const name = (host ?? '').toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')
  const [, endpointId = '', label = '', domain = ''] = /^([^.]+)\.([^.]+)\.(.+)$/.exec(name) ?? []
  const place = places.find((each) => each.label === label)
  return place && domains.includes(domain) && endpointPattern.test(endpointId) ? { place, endpointId } : undefined
}

/** `/<database>/auth…`, `/<database>/rest/v1…` */
function routeBelow(place: Place, endpointId: string, path: string, query: string): ServiceRoute | undefined {
  const [, encoded = '', rest = ''] = /^\/([^/]+)(\/.*)$/.exec(path) ?? []
  const { root, service } = place
  if (rest !== root && !rest.startsWith(`${root}/`)) return undefined
  const database = databaseOf(encoded)
  if (database === undefined) return undefined
  const below = rest.slice(root.length) || '/'
  if (!isPlain(below)) return { service, surface: 'none' }
  const route = { endpointId, database, path: below + query }
  switch (service) {
    case 'auth':
      return { service, surface: place.surface, ...route }
    case 'data-api':
      return { service, surface: place.surface, ...route }
  }
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
