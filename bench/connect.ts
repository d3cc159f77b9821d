// A client that connects and reads its first row, which is where every figure of a connection ends.

import pg from 'pg'

export type Tls = { ca: string; host: string }

export async function firstRow(uri: string, tls?: Tls, query = 'select 1'): Promise<void> {
  const client = await connected(uri, tls)
  try {
    const { rows } = await client.query(query)
    if (rows.length === 0) throw new Error(`no row: ${query}`)
  } finally {
    // Nobody waits for the goodbye.
    void client.end().catch(() => {})
  }
}

export async function connected(uri: string, tls?: Tls): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: uri,
    connectionTimeoutMillis: 60_000,
    ...(tls ? { ssl: { ca: tls.ca, servername: tls.host } } : {}),
  })
  client.on('error', () => {})
  await client.connect()
  return client
}

/** Milliseconds. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}
