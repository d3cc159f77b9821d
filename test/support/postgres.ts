// Database clients of tests: what a person with a connection string sees.

import pg from 'pg'

const connectTimeoutMs = 30_000

/** Ended with the scope that opened it. Losing the connection is an answer to look for, not an uncaught error. */
export type Session = AsyncDisposable & {
  client: pg.Client
  /** SQLSTATE and message of what the server said when it ended the session; undefined while it lives. */
  ended(): { code: string; message: string } | undefined
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
}

/** A connection string, or what else node-postgres takes. */
export type Target = string | pg.ClientConfig

export async function connect(target: Target): Promise<Session> {
  const config = typeof target === 'string' ? { connectionString: target } : target
  const client = new pg.Client({ ...config, connectionTimeoutMillis: connectTimeoutMs })
  let ended: (Error & { code?: string }) | undefined
  client.on('error', (error: Error & { code?: string }) => {
    ended ??= error
  })
  await client.connect()
  return {
    client,
    ended: () => ended && { code: ended.code ?? '', message: ended.message },
    async query(text, values) {
      try {
        return (await client.query(text, values)).rows
      } catch (error) {
        // What the server said last tells more than that the connection is gone.
        throw ended ?? error
      }
    },
    async [Symbol.asyncDispose]() {
      await client.end().catch(() => {})
    },
  }
}

/** In a session of its own. */
export async function query<Row extends pg.QueryResultRow>(
  target: Target,
  text: string,
  values?: unknown[],
): Promise<Row[]> {
  await using session = await connect(target)
  return await session.query<Row>(text, values)
}

/** The SQLSTATE that a login ends with; undefined where it succeeds. */
export async function loginError(uri: string): Promise<string | undefined> {
  try {
    await using _ = await connect(uri)
    return undefined
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}

/** The same address with another user, password or database. */
export function changed(uri: string, change: { role?: string; password?: string; database?: string }): string {
  const url = new URL(uri)
  if (change.role !== undefined) url.username = encodeURIComponent(change.role)
  if (change.password !== undefined) url.password = encodeURIComponent(change.password)
  if (change.database !== undefined) url.pathname = `/${encodeURIComponent(change.database)}`
  return url.href
}
