// One question to the catalogs in the name of whoever asks: with his role, his claims and what `db-pre-request` says to them, and nothing
// else done.

import type { DataApiConfig } from '../config.ts'
import type { ConnectionSource } from '../connections.ts'
import type { ApiRequest } from '../request/request.ts'
import type { SchemaCache } from '../schema-cache/schema-cache.ts'
import type { Statement } from '../sql/snippet.ts'
import { beginStatement, settingsStatement, type Identity } from './context.ts'
import { drained, preRequest } from './execute.ts'
import { Session } from './session.ts'

export type Question = {
  request: ApiRequest
  identity: Identity
  cache: SchemaCache
  config: Pick<DataApiConfig, 'dbExtraSearchPath' | 'appSettings' | 'dbPreRequest'>
}

/** The one text of its answer; undefined where there is none. */
export async function ask(
  connections: ConnectionSource,
  { request, identity, cache, config }: Question,
  statement: Statement,
): Promise<string | undefined> {
  const plan = { kind: 'read' } as const
  const connection = await connections.connect()
  const session = new Session(connection, plan, undefined)
  try {
    const statements = [
      { text: beginStatement(plan, identity, cache, request.method) },
      settingsStatement(request, identity, plan, cache, config),
      ...(config.dbPreRequest === undefined ? [] : [{ text: preRequest(config.dbPreRequest) }]),
      statement,
      { text: 'COMMIT' },
    ]
    const results = await drained(
      connection.together(() => {
        const sent = statements.map((each) => connection.query(each))
        session.ended()
        return sent
      }),
    )
    return results.at(-2)?.rows[0]?.[0] ?? undefined
  } catch (error) {
    session.failed(error)
    throw error
  } finally {
    session.release()
  }
}
