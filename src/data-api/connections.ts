// Where the engine gets its connections from. It is handed one of these and knows nothing of what is behind it: a pool of any Postgres
// (`pgrove data-api`), or a branch that may be asleep (`pgrove start`).

export type QueryResult = {
  rows: readonly (readonly (string | null)[])[]
  /** Of each column its type's number in the catalogs; of a domain what it is based on. */
  fields: readonly { dataTypeID: number }[]
}

export type DataApiConnection = {
  /**
   * Sends the statement at once, without waiting for what was sent before; results arrive in order. Values and results are texts. A `name`
   * prepares it under that name, once for each connection. Rejects with what `pg` throws.
   */
  query(statement: {
    text: string
    values?: readonly (string | Buffer | null)[]
    name?: string | undefined
  }): Promise<QueryResult>
  /** What `send` sends goes out as one. */
  together<T>(send: () => T): T
  /** `isSound`: outside of a transaction, with no role or setting left behind. Anything else is closed, never used again. */
  release(isSound: boolean): void
}

export type ConnectionSource = {
  /** Rejects with a `DataApiError`: PGRST000 where the database cannot be reached, PGRST003 where none came free in time. */
  connect(): Promise<DataApiConnection>
}
