// The ways to one database of a running compute, and to a bare Postgres beside it: what rows about the data path compare.

import { createReadyProject, type BenchProject } from './api.ts'
import { settingsOf } from './compute.ts'
import { directAddress, proxyAddress } from '../test/support/addresses.ts'
import type { Address } from '../test/support/wire-session.ts'
import { Floor } from './floor.ts'
import { freePort, startPgBouncer, type PgBouncer } from './pgbouncer.ts'
import { withChildren } from './processes.ts'
import { startBenchServer, type BenchServer } from './server.ts'

/** `direct`: a bare Postgres over TCP. All others lead to the compute: `socket` without anything between. */
export type PathName = 'direct' | 'socket' | 'proxy' | 'proxy TLS' | 'pooled' | 'pooled TLS' | PgBouncerName
type PgBouncerName = 'PgBouncer' | 'PgBouncer TLS'

export type Path = {
  name: PathName
  address: Address
  /** What its figures are put beside. */
  rival?: PgBouncerName
  /** Of the processes between the client and Postgres. */
  pids: number[]
}

export type DataPaths = AsyncDisposable & {
  server: BenchServer
  project: BenchProject
  /** The compute's and the bare one's, without anything between. */
  databases: { compute: Address; bare: Address }
  paths: Path[]
  pgBouncer: PgBouncer | undefined
}

/** A compute unit has room for every client of a row. */
const size = { autoscaling_limit_min_cu: 1, autoscaling_limit_max_cu: 1, suspend_timeout_seconds: -1 }
const poolSize = Math.floor(0.9 * 419)
/** What a bare one has of its own. */
const placement = new Set(['unix_socket_directories', 'hba_file', 'ident_file', 'cluster_name'])

export async function openDataPaths(): Promise<DataPaths> {
  const server = await startBenchServer()
  try {
    const project = await createReadyProject(server, size)
    const compute = await directAddress(server, project)
    const floor = await Floor.on(server)
    const settings = Object.entries(await settingsOf(server, project)).filter(([name]) => !placement.has(name))
    const port = await freePort()
    await floor.start({ ...Object.fromEntries(settings), listen_addresses: '127.0.0.1', port: String(port) })
    await floor.query(`alter role "${floor.address.user}" password 'bare'`)
    const bare: Address = { ...floor.address, host: '127.0.0.1', port, password: 'bare' }
    const pgBouncer = await startPgBouncer(server, compute, poolSize)
    const edge = await withChildren((await server.nodePids()).edge)
    const proxy = (name: PathName, pooled: boolean, tls: boolean): Path => ({
      name,
      ...(pgBouncer ? { rival: tls ? ('PgBouncer TLS' as const) : ('PgBouncer' as const) } : {}),
      address: proxyAddress(server, project, { pooled, tls }),
      pids: edge,
    })
    const bouncer = (name: PgBouncerName, tls: boolean): Path[] =>
      pgBouncer ? [{ name, address: pgBouncer.address({ tls }), pids: [pgBouncer.pid] }] : []
    return {
      server,
      project,
      databases: { compute, bare },
      pgBouncer,
      paths: [
        { name: 'direct', address: bare, pids: [] },
        { name: 'socket', address: compute, pids: [] },
        ...bouncer('PgBouncer', false),
        proxy('proxy', false, false),
        proxy('pooled', true, false),
        ...bouncer('PgBouncer TLS', true),
        proxy('proxy TLS', false, true),
        proxy('pooled TLS', true, true),
      ],
      async [Symbol.asyncDispose]() {
        await floor.stop('SIGQUIT')
        await server[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
}

export const withoutPgBouncer = 'there is no PgBouncer in the PATH to measure against (Debian: pgbouncer)'
