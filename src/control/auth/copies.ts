// Sign-in where data is copied, restored and swapped.
//
// A branch that is made from another has the users of that one and an integration of its own: same settings, other id, other signing keys, no
// client keys until they are asked for. So nothing that opens the one opens the other. Where a restored branch takes another's place, the
// integration moves there with the endpoints. Sessions never come along: `ensurePrepared` asks of all data, before anybody is served from it,
// whether it has been made ready for this integration, and removes them where it has not.

import { authVersion } from '../../compute/auth/schema.ts'
import { failpoint } from '../../lib/failpoint.ts'
import type { Branch } from '../../model/branch.ts'
import { AppError } from '../../model/errors.ts'
import type { BranchId, TimelineId } from '../../model/ids.ts'
import { getPrepared, setKeySetUrl, setPrepared } from '../../store/auth/copies.ts'
import { insertAuthDomain, listAuthDomains } from '../../store/auth/domains.ts'
import {
  deleteIntegration,
  getIntegrationOfBranch,
  getSealedEmailServer,
  renameIntegrationsDatabase,
  setIntegrationName,
  setSealedEmailServer,
} from '../../store/auth/integrations.ts'
import { listOauthProviders, putOauthProvider } from '../../store/auth/oauth-providers.ts'
import { renameDataApisDatabase } from '../../store/data-apis.ts'
import type { Sql } from '../../store/database.ts'
import { listBranchEndpoints } from '../../store/endpoints.ts'
import type { ControlContext } from '../context.ts'
import { insertNewIntegration } from './new-integration.ts'
import { forgetCopiedSessions, prepareDatabase } from './provisioning.ts'
import { openClientSecret, openEmailServer, sealClientSecret, sealEmailServer } from './secrets.ts'
import { authUrls } from './urls.ts'

/** In the transaction that makes the copy's rows, after its endpoints. `databases`: those that the copy has. */
export async function copyIntegration(
  control: ControlContext,
  sql: Sql,
  original: BranchId,
  copy: Pick<Branch, 'id' | 'projectId'>,
  databases: readonly { name: string }[],
): Promise<void> {
  const from = await getIntegrationOfBranch(sql, original)
  if (!from || !databases.some(({ name }) => name === from.databaseName)) return
  const { cipher } = control
  const { databaseName, provider, settings } = from
  const to = await insertNewIntegration(control, sql, {
    projectId: copy.projectId,
    branchId: copy.id,
    databaseName,
    provider,
    settings,
  })
  if (from.name !== undefined) await setIntegrationName(sql, to.id, from.name)
  const server = await getSealedEmailServer(sql, from.id)
  if (server) {
    await setSealedEmailServer(sql, to.id, sealEmailServer(cipher, to.id, openEmailServer(cipher, from.id, server)))
  }
  for (const each of await listOauthProviders(sql, from.id)) {
    const secret = openClientSecret(cipher, from.id, each)
    const clientSecret = secret === undefined ? undefined : sealClientSecret(cipher, to.id, each.id, secret)
    await putOauthProvider(sql, to.id, { ...each, clientSecret })
  }
  for (const domain of await listAuthDomains(sql, from.id)) await insertAuthDomain(sql, to.id, domain)
}

/**
 * In the chain that makes a branch's data, while its compute runs for that and nobody has it. `ofPast`: the data may be from before there was
 * sign-in; then a copy has none either.
 */
export async function settleCopiedAuth(
  control: ControlContext,
  branch: Branch,
  timelineId: TimelineId,
  { dropsWithoutUsers }: { dropsWithoutUsers: boolean },
): Promise<void> {
  const integration = await getIntegrationOfBranch(control.store, branch.id)
  if (!integration) return
  const hasUsers = await forgetCopiedSessions(control, timelineId, integration.databaseName)
  await failpoint('auth.copy.cleaned')
  if (hasUsers || !dropsWithoutUsers) return
  await deleteIntegration(control.store, integration.id)
  await control.authPlane.changed({ integrationId: integration.id, what: 'all' })
  await control.dataApiPlane.changed({ branchId: branch.id, what: 'all' })
}

/** In the transaction that renames a database: its name is part of where its services answer. */
export async function databaseRenamed(
  control: ControlContext,
  sql: Sql,
  branchId: BranchId,
  from: string,
  to: string,
): Promise<void> {
  await renameDataApisDatabase(sql, branchId, { from, to })
  if ((await renameIntegrationsDatabase(sql, branchId, { from, to })) === undefined) return
  const integration = await getIntegrationOfBranch(sql, branchId)
  if (integration) await setKeySetUrl(sql, integration.id, (await authUrls(control, sql, integration)).jwksUrl)
}

/** After the commit of what changed a branch's integration, or may have. */
export async function branchAuthChanged(control: ControlContext, branchId: BranchId): Promise<void> {
  for (const { id } of await listBranchEndpoints(control.store, branchId)) {
    await control.authPlane.changed({ endpointId: id, what: 'all' })
  }
}

/** In a compute that runs. */
export async function ensurePrepared(
  control: ControlContext,
  integrationId: string,
  timelineId: TimelineId,
): Promise<void> {
  const row = await getPrepared(control.store, integrationId)
  if (!row) throw new AppError('not_found', 'no sign-in is set up any more')
  const { databaseName, prepared } = row
  const isOurs = prepared?.timelineId === timelineId
  if (isOurs && prepared.version === authVersion) return
  await prepareDatabase(control, timelineId, databaseName, { forgetsSessions: !isOurs })
  await failpoint('auth.copy.prepared')
  await setPrepared(control.store, integrationId, { timelineId, version: authVersion })
}
