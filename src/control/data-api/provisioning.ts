// What the Data API needs in a branch's Postgres: roles, grants, the functions that say who asks. All of it may be repeated.

import type pg from 'pg'
import { ensureSessionJwt } from '../../compute/auth/pg-session-jwt.ts'
import { assertRolesFit, ensureDataApiRoles, grantDefaults, listSchemas } from '../../compute/data-api/roles.ts'
import { failpoint } from '../../lib/failpoint.ts'
import type { Cipher } from '../../lib/cipher.ts'
import type { Branch } from '../../model/branch.ts'
import type { DataApi } from '../../model/data-api.ts'
import { AppError } from '../../model/errors.ts'
import type { TimelineId } from '../../model/ids.ts'
import { makeVerifier, randomSecretIterations } from '../../pgwire/scram-verifier.ts'
import { getDataApiPreparation, setAvailableSchemas, setDataApiPrepared } from '../../store/data-apis.ts'
import { getTimeline } from '../../store/timelines.ts'
import type { ControlContext } from '../context.ts'
import { withPointCompute } from '../point-compute.ts'

type Wanted = Pick<DataApi, 'grantsDefaults' | 'skipsAuthSchema'>

/** The password of our role in a branch's Postgres: derived, never stored. It goes with the service key of the branch's timeline. */
export const dataApiRolePassword = (cipher: Cipher, serviceKeyId: string): string =>
  cipher.derive(`data api role of ${serviceKeyId}`)

/** Starts the compute where need be; the caller holds no lock. Returns what the new row says of the data. */
export async function provisionDataApi(
  control: ControlContext,
  branch: Branch,
  database: string,
  wanted: Wanted,
): Promise<{ timelineId: TimelineId; schemas: string[] }> {
  return await withPointCompute(control, branch, { kind: 'head' }, 'data_api', async (timelineId) => {
    const schemas = await withService(control, timelineId, database, async (client) => {
      await assertRolesFit(client)
      await ensureDataApiRoles(client, await verifierOf(control, timelineId))
      await failpoint('data-api.enable.roles')
      await setUp(control, client, wanted)
      return await listSchemas(client)
    })
    return { timelineId, schemas }
  })
}

/** In a compute that runs: its data may be from before this was set up. */
export async function ensureDataApiPrepared(
  control: ControlContext,
  id: string,
  timelineId: TimelineId,
): Promise<void> {
  const row = await getDataApiPreparation(control.store, id)
  if (!row) throw new AppError('not_found', 'no Data API is set up here any more')
  if (row.preparedTimelineId === timelineId) return
  await renewDataApi(control, row.api, timelineId)
  await failpoint('data-api.prepared')
  await setDataApiPrepared(control.store, id, timelineId)
}

/** As it was when it was enabled, in a compute that runs; and what there is to expose is looked at. */
export async function renewDataApi(control: ControlContext, api: DataApi, timelineId: TimelineId): Promise<void> {
  const schemas = await withService(control, timelineId, api.databaseName, async (client) => {
    const { areNew } = await ensureDataApiRoles(client, await verifierOf(control, timelineId))
    if (areNew) await setUp(control, client, api)
    return await listSchemas(client)
  })
  await setAvailableSchemas(control.store, api.id, schemas)
}

async function setUp(
  control: ControlContext,
  client: pg.Client,
  { grantsDefaults, skipsAuthSchema }: Wanted,
): Promise<void> {
  if (grantsDefaults) await grantDefaults(client)
  if (skipsAuthSchema) return
  const lacking = await ensureSessionJwt(client)
  if (lacking !== undefined)
    control.logger.info({ cause: lacking }, 'the functions of pg_session_jwt are left to the database')
}

async function withService<T>(
  control: ControlContext,
  timelineId: TimelineId,
  database: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = await control.supervisor.client(timelineId, database)
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => {})
  }
}

async function verifierOf(control: ControlContext, timelineId: TimelineId): Promise<string> {
  const timeline = await getTimeline(control.store, timelineId)
  if (!timeline) throw new AppError('unavailable', `timeline ${timelineId} is gone`)
  const password = dataApiRolePassword(control.cipher, timeline.serviceKeyId)
  return await makeVerifier(password, { iterations: randomSecretIterations })
}
