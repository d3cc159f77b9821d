// May a session go on with another server connection? Asked in the session itself, and compared with a fresh one of the same client.
//
// What would be lost silently keeps it where it is. Most of that Postgres shows: temporary objects, LISTEN, cursors, advisory locks,
// settings. Custom settings (`set_config('app.tenant', …)`) it does not show, and losing one can change what row-level security lets
// through; but each takes memory where settings are kept, which a session may look at from Postgres 16 on. So a session whose
// settings take as many bytes as a fresh one's has made none. Loading PL/pgSQL takes memory there too, hence the second kind of fresh
// session. Prepared statements of the protocol are no loss: they are made again.
//
// Asked with named messages of the extended protocol, since a simple query would end the client's unnamed statement.

import { cString, int32, writeMessage } from '../pgwire/message.ts'
import type { Message } from '../pgwire/message.ts'
import { readErrorFields } from '../pgwire/error-fields.ts'
import { splitOptions } from '../pgwire/startup-options.ts'
import type { StartupParameter } from '../pgwire/startup-packet.ts'
import { functionCall, parse, query } from '../pgwire/frontend-types.ts'

/** What a client has prepared: name, text, types of the parameters. */
export type PreparedStatement = { name: string; text: string; parameterTypes: number[] }

export type SessionState = {
  /** Bytes that hold settings; undefined before Postgres 16. */
  settingsBytes: number | undefined
  /** Settings that are not the server's own, digested. */
  settings: string
  /** PL/pgSQL is loaded. */
  procedural: boolean
  utf8: boolean
  /** In words, what would be lost. */
  reasons: string[]
  statements: PreparedStatement[]
}

export type FreshState = {
  plain: SessionState
  procedural: SessionState | undefined
  /** What Postgres reported of its settings. */
  parameters: ReadonlyMap<string, string>
}

export const checkName = 'pgrove_check'
/** More than that is not worth keeping for a client that may never come back. */
const longestStatements = 128 * 1024

const reason = (words: string, condition: string): string => `case when ${condition} then '${words}' end`

const reasons = [
  reason('a cursor', `exists (select from pg_catalog.pg_cursors where name not in ('', '${checkName}'))`),
  reason('LISTEN', 'exists (select from pg_catalog.pg_listening_channels())'),
  reason(
    'an advisory lock',
    `exists (select from pg_catalog.pg_locks where locktype = 'advisory' and pid = pg_catalog.pg_backend_pid())`,
  ),
  // Whatever lies in a schema depends on it; the schema itself stays after its last table.
  reason(
    'a temporary table',
    `pg_catalog.pg_my_temp_schema() <> 0 and exists (select from pg_catalog.pg_depend where refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and refobjid = pg_catalog.pg_my_temp_schema())`,
  ),
  reason('PREPARE', 'exists (select from pg_catalog.pg_prepared_statements where from_sql)'),
  reason('SET ROLE', `pg_catalog.current_setting('role') <> 'none' or current_user <> session_user`),
  // Neither shows in the size of the settings: one may have been made or changed since the session began.
  reason(
    'a custom setting of the role or database',
    `exists (select from pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c where pg_catalog.split_part(c, '=', 1) like '%.%' and s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())) and s.setrole in (0, (select oid from pg_catalog.pg_roles where rolname = session_user)))`,
  ),
  // Both keep variables or connections of a session's own.
  reason(
    'a language with session variables',
    `exists (select from pg_catalog.pg_language where lanname not in ('internal', 'c', 'sql', 'plpgsql'))`,
  ),
  reason('dblink', `exists (select from pg_catalog.pg_extension where extname = 'dblink')`),
]

/** One row with one column of JSON. */
function checkSql(major: number): string {
  const bytes =
    major >= 16
      ? `(select sum(used_bytes) from pg_catalog.pg_get_backend_memory_contexts() where name = 'GUCMemoryContext')`
      : 'null'
  return `select pg_catalog.json_build_object(
    'settingsBytes', ${bytes},
    'settings', (select pg_catalog.md5(coalesce(pg_catalog.string_agg(name || '=' || coalesce(setting, '') || '/' || source, ',' order by name), ''))
                   from pg_catalog.pg_settings where source not in ('default', 'configuration file', 'command line', 'environment variable', 'override')),
    'procedural', exists (select from pg_catalog.pg_settings where name = 'plpgsql.variable_conflict'),
    'utf8', pg_catalog.current_setting('client_encoding') = 'UTF8',
    'reasons', pg_catalog.array_remove(array[${reasons.join(', ')}], null),
    'statements', case when (select coalesce(sum(pg_catalog.octet_length(statement)), 0) from pg_catalog.pg_prepared_statements) <= ${longestStatements} then
      coalesce((select pg_catalog.json_agg(pg_catalog.json_build_object('name', name, 'text', statement, 'parameterTypes', parameter_types::pg_catalog.oid[]))
                  from pg_catalog.pg_prepared_statements where name <> '${checkName}'), '[]') end
  )::pg_catalog.text`
}

/** To be sent to a server that is at rest; it answers up to one ReadyForQuery. */
export function writeCheck(major: number): Buffer {
  return Buffer.concat([
    writeMessage('P', cString(checkName), cString(checkSql(major)), Buffer.alloc(2)),
    writeMessage('B', cString(checkName), cString(checkName), Buffer.alloc(6)),
    writeMessage('E', cString(checkName), int32(0)),
    writeMessage('C', Buffer.from('S'), cString(checkName)),
    writeMessage('S'),
  ])
}

/** Makes a fresh session load PL/pgSQL. */
export function writeLoadProcedural(): Buffer {
  return writeMessage('Q', cString('do $$ begin end $$'))
}

export type CheckAnswer = { kind: 'state'; state: SessionState } | { kind: 'failed'; message: string }

/** From the messages between the check and its ReadyForQuery; undefined where they are not an answer to it. */
export function readCheckAnswer(messages: readonly Message[]): CheckAnswer | undefined {
  const types = messages.map(({ type }) => type).filter((type) => !'NSA'.includes(type))
  const error = messages.find(({ type }) => type === 'E')
  if (error) return { kind: 'failed', message: readErrorFields(error.body).get('M') ?? '' }
  const row = messages.find(({ type }) => type === 'D')
  if (types.join('') !== '12DC3Z' || !row) return undefined
  // One column: a count of 2 bytes, a length of 4.
  const value = JSON.parse(row.body.toString('utf8', 6)) as Omit<SessionState, 'settingsBytes' | 'statements'> & {
    settingsBytes: number | null
    statements: PreparedStatement[] | null
  }
  return {
    kind: 'state',
    state: {
      ...value,
      settingsBytes: value.settingsBytes ?? undefined,
      reasons: value.statements ? value.reasons : [...value.reasons, 'very long prepared statements'],
      statements: value.statements ?? [],
    },
  }
}

/** In words, why the session cannot go on with another server connection; empty where it can. Pure. */
export function whatWouldBeLost(session: SessionState, fresh: FreshState): string[] {
  const like = session.procedural ? fresh.procedural : fresh.plain
  const lost = [...session.reasons]
  if (!like || session.settings !== like.settings) lost.push('SET')
  else if (session.settingsBytes !== undefined && session.settingsBytes !== like.settingsBytes) {
    lost.push('a custom setting, or the settings of an extension')
  }
  if (session.statements.length > 0 && !session.utf8) lost.push('prepared statements in another encoding')
  return lost
}

/** What makes the statements again in a fresh session, up to one ReadyForQuery; undefined where there are none. */
export function writeStatements(statements: readonly PreparedStatement[]): Buffer | undefined {
  if (statements.length === 0) return undefined
  const parses = statements.map(({ name, text, parameterTypes }) => {
    const count = Buffer.alloc(2)
    count.writeUInt16BE(parameterTypes.length, 0)
    return writeMessage('P', cString(name), cString(text), count, ...parameterTypes.map(int32))
  })
  // Each with a Sync of its own: one that cannot be made any more must not keep the others from being made.
  return Buffer.concat(parses.flatMap((parse) => [parse, writeMessage('S')]))
}

/**
 * Whether a client brings a custom setting along when it connects. A fresh session has it too, so another value of the same length that is
 * set later takes as many bytes and would go unseen.
 */
export function bringsCustomSetting(parameters: readonly StartupParameter[]): boolean {
  return parameters.some(([name, value]) => {
    if (name !== 'options') return name.includes('.')
    return splitOptions(value).some(({ text }) => text.split('=')[0]?.includes('.') === true && text.includes('='))
  })
}

/**
 * Before Postgres 16 a custom setting cannot be ruled out by looking: there, only a session that ran nothing but these is parked.
 * No function of a tenant's can hide behind any of them.
 */
function isHarmless(statement: string): boolean {
  return /^\s*(?:--[^\n]*\s*)?(?:select\s+(?:\d+|null|true|false|version\(\)|current_database\(\)|current_user)|show\s+[a-z_. ]+|begin|commit|rollback|start transaction)?\s*;?\s*$/i.test(
    statement,
  )
}

/** A chunk of whole messages, each of a kind that cannot make a setting. */
export function readsHarmless(chunk: Buffer): boolean {
  let at = 0
  while (at < chunk.length) {
    const left = chunk.subarray(at)
    if (left.length < 5) return false
    const length = left.readUInt32BE(1) + 1
    if (length < 5 || length > left.length || length > 4_096) return false
    const type = left[0]
    if (type === query && !isHarmless(left.toString('utf8', 5, length - 1))) return false
    if (type === parse && !isHarmless(left.toString('utf8', left.indexOf(0, 5) + 1, length).split('\0')[0] ?? ''))
      return false
    if (type === functionCall) return false
    at += length
  }
  return true
}
