// A compute as the machine sees it: its socket, its settings, and what its log says of its recovery.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { parseConf } from '../src/compute/postgresql-conf.ts'
import { homeAt } from '../src/home.ts'
import { parseLsn } from '../src/model/lsn.ts'
import type { BenchProject } from './api.ts'
import type { Address } from '../test/support/wire-session.ts'
import { connected } from './connect.ts'
import type { BenchServer } from './server.ts'

/** What the last start replayed. */
export type Replay = { megabytes: number; ms: number }

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
