// What sign-in needs in a branch's Postgres: its role, its schema, its functions. All of it may be repeated.

import type pg from 'pg'
import { ensureSessionJwt } from '../../compute/auth/pg-session-jwt.ts'
import { connectAsAuth, dropAuth, ensureAuthRole } from '../../compute/auth/role.ts'
import { applyAuthSchema, authVersion, readAuthVersion } from '../../compute/auth/schema.ts'
import { forgetSessions } from '../../compute/auth/users.ts'
import { sqlState } from '../../compute/roles.ts'
import type { Branch } from '../../model/branch.ts'
import { AppError, errorChain } from '../../model/errors.ts'
import type { TimelineId } from '../../model/ids.ts'
import { makeVerifier, randomSecretIterations } from '../../pgwire/scram-verifier.ts'
import type { Prepared } from '../../store/auth/copies.ts'
import { getTimeline } from '../../store/timelines.ts'
import type { ControlContext } from '../context.ts'
import { withPointCompute } from '../point-compute.ts'
import { authRolePassword } from './auth-role.ts'

/**
 * Returns when the database is ready for sign-in, with users who were there before and none of their sessions. Starts the compute where need
 * be; the caller holds no lock. What it returns is what the new integration's row says of it.
 */
export async function provisionAuth(control: ControlContext, branch: Branch, database: string): Promise<Prepared> {
  return await withPointCompute(control, branch, { kind: 'head' }, 'auth', async (timelineId) => {
    await prepareDatabase(control, timelineId, database, { forgetsSessions: true })
    return { timelineId, version: authVersion }
  })
}

/** Drops the schema with all that is in it. A database that is gone is no error. */
export async function deprovisionAuth(control: ControlContext, branch: Branch, database: string): Promise<void> {
  await withPointCompute(control, branch, { kind: 'head' }, 'auth', async (timelineId) => {
    const client = await control.supervisor.client(timelineId, database).catch((error: unknown) => {
      // invalid_catalog_name
      if (sqlState(error) === '3D000') return undefined
      throw error
    })
    try {
      if (client) await dropAuth(client)
    } finally {
      await client?.end().catch(() => {})
    }
  })
}

/** In a compute that runs. Throws `already_exists` for a schema that is somebody else's, `unprocessable` where the database lets us in no more. */
export async function prepareDatabase(
  control: ControlContext,
  timelineId: TimelineId,
  database: string,
  { forgetsSessions }: { forgetsSessions: boolean },
): Promise<void> {
  await letAuthIn(control, timelineId, database, async (service) => {
    // Beside each other: they have nothing to do with each other, and somebody waits.
    const [functions, schema] = await Promise.allSettled([
      ensureSessionJwt(service),
      withAuthClient(control, timelineId, database, async (client) => {
        const before = await applyAuthSchema(client)
        if (forgetsSessions && before > 0) await forgetSessions(client)
      }),
    ])
    if (schema.status === 'rejected') throw schema.reason
    const lacking = functions.status === 'rejected' ? errorChain(functions.reason) : functions.value
    if (lacking === undefined) return
    const cause = { timeline: timelineId, cause: lacking }
    control.logger.info(cause, 'the functions of pg_session_jwt are left to the database')
  })
}

/**
 * For data that is a copy of a branch's, before anybody has it: who is signed in there is nothing for those who may read this. Returns whether
 * the data knows of sign-in at all.
 */
export async function forgetCopiedSessions(
  control: ControlContext,
  timelineId: TimelineId,
  database: string,
): Promise<boolean> {
  let version: number | undefined
  try {
    await letAuthIn(
      control,
      timelineId,
      database,
      async () => {},
      async (service) => {
        version = await readAuthVersion(service)
        return version !== undefined && version > 0
      },
    )
    if (version === undefined || version === 0) return false
    await withAuthClient(control, timelineId, database, forgetSessions)
    return true
  } catch (error) {
    if (sqlState(error) === '3D000') return false
    // A tenant may have made it so that nobody comes in, or that this fails. Nobody is served from it before it has succeeded.
    control.logger.warn({ timeline: timelineId, cause: errorChain(error) }, 'sessions are left in a copy')
    return true
  }
}

async function letAuthIn(
  control: ControlContext,
  timelineId: TimelineId,
  database: string,
  also: (service: pg.Client) => Promise<void>,
  onlyIf: (service: pg.Client) => Promise<boolean> = async () => true,
): Promise<void> {
  const verifier = await makeVerifier(await passwordOf(control, timelineId), { iterations: randomSecretIterations })
  const service = await control.supervisor.client(timelineId, database)
  try {
    if (!(await onlyIf(service))) return
    await ensureAuthRole(service, verifier)
    await also(service)
  } finally {
    await service.end().catch(() => {})
  }
}

/** A connection of the role that owns the users, in a compute that runs. */
export async function withAuthClient<T>(
  control: ControlContext,
  timelineId: TimelineId,
  database: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const { major, socketDir } = control.supervisor.service(timelineId)
  const password = await passwordOf(control, timelineId)
  const client = await connectAsAuth({ major, socketDir, password, database }).catch((cause: unknown) => {
    const code = sqlState(cause)
    if (code === undefined || !shut.has(code)) throw cause
    throw new AppError(
      'unprocessable',
      `database ${JSON.stringify(database)} lets nobody in (SQLSTATE ${code}): look at its connection limit, and at who may connect to it`,
      { cause },
    )
  })
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => {})
  }
}

/** Too many connections, not accepting any, no privilege. */
const shut = new Set(['53300', '55000', '42501'])

async function passwordOf(control: ControlContext, timelineId: TimelineId): Promise<string> {
  const timeline = await getTimeline(control.store, timelineId)
  if (!timeline) throw new AppError('unavailable', `timeline ${timelineId} is gone`)
  return authRolePassword(control.cipher, timeline.serviceKeyId)
}
