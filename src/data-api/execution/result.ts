// What the main statement answers: always one row of these columns, whatever was asked for.

export type MainResult = {
  /** Only with `count=exact`; of the whole result without its limits. */
  total: number | undefined
  /** Rows in the body. */
  pageTotal: number
  /** Text as it goes out; empty where nothing is asked for. */
  body: string | Buffer
  /** Name and value in the form of a filter, of the key of the one row that was inserted. */
  location: readonly (readonly [column: string, filter: string])[]
  /** JSON, as the database has set it. */
  responseHeaders: string | undefined
  responseStatus: string | undefined
  /** Of an upsert: how many of the rows were inserted. */
  inserted: number | undefined
}
