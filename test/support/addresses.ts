// Where the database of a test's project is reached: by the socket of its compute, and through the proxy.

import { join } from 'node:path'
import { socketPort } from '../../src/compute/postgres-service.ts'
import { homeAt } from '../../src/home.ts'
import { query } from './postgres.ts'
import type { TestServer } from './server.ts'
import type { Address } from './wire-session.ts'

type Project = { uri: string; endpointId: string }

/** Without the proxy. The compute runs afterwards. */
export async function directAddress(server: TestServer, { uri }: Pick<Project, 'uri'>): Promise<Address> {
  const [row] = await query<{ cluster_name: string }>(uri, 'show cluster_name')
  // The timeline has given the compute its name.
  return { ...loginOf(uri), host: join(homeAt(server.home).run, row?.cluster_name ?? ''), port: socketPort }
}

/** Without a name to resolve: what names the endpoint is an option. */
export function proxyAddress(
  server: TestServer,
  { uri, endpointId }: Project,
  { pooled, tls }: { pooled: boolean; tls: boolean },
): Address {
  const options = `endpoint=${endpointId}${pooled ? '-pooler' : ''}`
  return { ...loginOf(uri), host: '127.0.0.1', port: server.pgPort, tls, options }
}

function loginOf(uri: string): Pick<Address, 'user' | 'password' | 'database'> {
  const { username, password, pathname } = new URL(uri)
  return {
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1)),
  }
}
