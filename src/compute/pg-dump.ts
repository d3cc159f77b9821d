// `pg_dump`, where the machine has one: the packages from npm carry none.

import { join } from 'node:path'
import { run } from '../lib/run.ts'
import { authSchema } from '../model/auth.ts'
import type { Owner, PgMajor } from '../model/compute.ts'
import { AppError, isAppError } from '../model/errors.ts'
import { authRole } from './postgres-service.ts'
import { serviceEnvironment, type ServiceAddress } from './service-client.ts'

const timeoutMs = 120_000

/**
 * The one whose major is nearest to the server's, which must not be newer than it. `owner`: as whom it has to run, since not
 * everybody may enter every folder.
 */
export async function findPgDump(
  major: PgMajor,
  binDirs: readonly string[],
  owner: Owner | undefined,
): Promise<string | undefined> {
  let best: { program: string; major: number } | undefined
  for (const program of binDirs.map((binDir) => join(binDir, 'pg_dump'))) {
    const its = await majorOf(program, owner)
    if (its !== undefined && its >= major && its < (best?.major ?? Infinity)) best = { program, major: its }
  }
  return best?.program
}

async function majorOf(program: string, owner: Owner | undefined): Promise<number | undefined> {
  const { stdout } = await run(program, ['--version'], { owner, timeoutMs: 10_000 }).catch(() => ({ stdout: '' }))
  const [, major] = /\(PostgreSQL\) (\d+)/.exec(stdout) ?? []
  return major === undefined ? undefined : Number(major)
}

const schemaOnly = [
  '--schema-only',
  // What the template grants there is the same in every database.
  '--exclude-schema=pg_catalog',
  '--no-tablespaces',
  // Their connection strings hold passwords.
  '--no-subscriptions',
  '--no-security-labels',
  '--lock-wait-timeout=10s',
  '--no-password',
]

/** Runs under the compute's own uid: it reads what a tenant wrote. */
export async function dumpSchema(
  program: string,
  { owner, ...address }: ServiceAddress & { owner: Owner | undefined },
): Promise<string> {
  const { stdout } = await run(program, schemaOnly, { env: serviceEnvironment(address), owner, timeoutMs }).catch(
    (cause: unknown) => {
      if (isAppError(cause, 'command_failed') && String(cause.cause).includes('lock timeout')) throw schemaLocked(cause)
      throw cause
    },
  )
  return tidyDump(stdout)
}

export const schemaLocked = (cause: unknown): AppError =>
  new AppError('locked', 'a transaction in the database is changing its schema; try again when it has ended', { cause })

const head = '--\n-- PostgreSQL database dump\n--\n'
const tail = '-- PostgreSQL database dump complete\n--\n'

/** Quoted names and values may hold anything. */
const userMapping =
  /^--\n-- Name: USER MAPPING [^\n]*; Type: USER MAPPING; [^\n]*\n--\n\nCREATE USER MAPPING (?:[^'";]|'(?:[^']|'')*'|"(?:[^"]|"")*")*;\n+/gm

/** What sign-in has in the database belongs to nobody a tenant knows. */
const authOwner = new RegExp(`^ALTER (?:SCHEMA|TABLE|FUNCTION) ${authSchema}[^;\\n]* OWNER TO ${authRole};\\n+`, 'gm')
const authTitle = new RegExp(`^(-- Name: [^\\n]*; Owner: )${authRole}$`, 'gm')

/**
 * The text as SQL that changes only with the schema: without psql's `\restrict`, whose key is another each time, and without the
 * versions, which differ between a compute that was started before an update and one that was started after it. And without passwords.
 */
export function tidyDump(text: string): string {
  const from = text.indexOf('\nSET ')
  const to = text.lastIndexOf('-- PostgreSQL database dump complete')
  if (from < 0 || to < from) throw new AppError('internal', 'pg_dump wrote something that is not a dump')
  return `${head}${text.slice(from, to)}${tail}`
    .replaceAll(userMapping, '')
    .replaceAll(authOwner, '')
    .replaceAll(authTitle, '$1-')
}
