// A connection for as long as a piece of a test takes.

import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'

const connectTimeoutMs = 30_000

export async function connected<Result>(
  target: string | pg.ClientConfig,
  use: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const config = typeof target === 'string' ? { connectionString: target } : target
  const client = new pg.Client({ connectionTimeoutMillis: connectTimeoutMs, ...config })
  // What goes wrong with a query is thrown by the query; without a listener the same error would end the test process.
  client.on('error', () => {})
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

/** The rows of one statement on a connection of its own. */
export async function rowsOf<Row extends pg.QueryResultRow>(
  target: string | pg.ClientConfig,
  sql: string,
): Promise<Row[]> {
  return await connected(target, async (client) => (await client.query<Row>(sql)).rows)
}

const waitTimeoutMs = 30_000

/** Asks again and again until the answer is yes. */
export async function waitUntil(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + waitTimeoutMs
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`waited ${waitTimeoutMs} ms in vain until ${what}`)
    await delay(20)
  }
}
