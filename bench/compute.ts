// A compute as the machine sees it: its socket, its settings, and what its log says of its recovery.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { socketPort } from '../src/compute/postgres-service.ts'
import { parseConf } from '../src/compute/postgresql-conf.ts'
import { homeAt } from '../src/home.ts'
import { parseLsn } from '../src/model/lsn.ts'
import type { BenchProject } from './api.ts'
import { connected } from './connect.ts'
import type { BenchServer } from './server.ts'

/** Where a client connects. `tls`: over TCP only, and the certificate is not looked at. `options`: of the startup packet. */
export type Address = {
  host: string
  port: number
  user: string
  database: string
  password?: string
  tls?: boolean
  options?: string
}

/** What the last start replayed. */
export type Replay = { megabytes: number; ms: number }

export async function directAddress(server: BenchServer, { uri }: Pick<BenchProject, 'uri'>): Promise<Address> {
  const { username, password, pathname } = new URL(uri)
  return {
    host: join(homeAt(server.home).run, await timelineOf(uri)),
    port: socketPort,
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1)),
  }
}

/** Through the proxy, without a name to resolve: what names the endpoint is an option. */
export function proxyAddress(
  server: BenchServer,
  { uri, endpointId }: Pick<BenchProject, 'uri' | 'endpointId'>,
  { pooled, tls }: { pooled: boolean; tls: boolean },
): Address {
  const { username, password, pathname } = new URL(uri)
  return {
    host: '127.0.0.1',
    port: server.pgPort,
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1)),
    tls,
    options: `endpoint=${endpointId}${pooled ? '-pooler' : ''}`,
  }
}

export async function connectedTo({ tls, ...address }: Address): Promise<pg.Client> {
  const client = new pg.Client({ ...address, ssl: tls ? { rejectUnauthorized: false } : false })
  client.on('error', () => {})
  await client.connect()
  return client
}

export async function settingsOf(
  server: BenchServer,
  { uri }: Pick<BenchProject, 'uri'>,
): Promise<Record<string, string>> {
  return parseConf(await readFile(join(await folderOf(server, uri), 'postgresql.conf'), 'utf8'))
}

/** Undefined where there was nothing to replay. */
export async function replayOf(server: BenchServer, { uri }: Pick<BenchProject, 'uri'>): Promise<Replay | undefined> {
  const log = await readFile(join(await folderOf(server, uri), 'postgres.log'), 'utf8')
  const from = [...log.matchAll(/redo starts at ([0-9A-F/]+)/g)].at(-1)?.[1]
  const [, to, seconds] = [...log.matchAll(/redo done at ([0-9A-F/]+) .*elapsed: ([\d.]+) s/g)].at(-1) ?? []
  const [first, last] = [parseLsn(from ?? ''), parseLsn(to ?? '')]
  if (first === undefined || last === undefined) return undefined
  return { megabytes: Number(last - first) / 2 ** 20, ms: Number(seconds) * 1000 }
}

const folderOf = async (server: BenchServer, uri: string): Promise<string> =>
  join(homeAt(server.home).computes, await timelineOf(uri))

/** Which has given the compute its name. */
async function timelineOf(uri: string): Promise<string> {
  const client = await connected(uri)
  try {
    const { rows } = await client.query<{ cluster_name: string }>('show cluster_name')
    return rows[0]?.cluster_name ?? ''
  } finally {
    await client.end()
  }
}
