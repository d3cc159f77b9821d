// Puts the control plane together: the context, what the surfaces call, what runs in the background.

import { KeyedLock } from '../lib/keyed-lock.ts'
import type { AuthMail } from '../model/auth-target.ts'
import { defaultRegionId, regions } from '../model/region.ts'
import type { TimelineId } from '../model/ids.ts'
import { projectsOfEndpoints } from '../store/endpoints.ts'
import { deleteOldIdempotencyKeys } from '../store/idempotency-keys.ts'
import { forgetFullBudgets } from '../store/rate-limits.ts'
import type { RateLimits } from '../model/rate-limit.ts'
import { assertMay, authorize } from './access.ts'
import { Authenticator } from './accounts.ts'
import { authControl } from './auth/control.ts'
import { ActiveComputes } from './active-computes.ts'
import { aliasControl } from './aliases.ts'
import { apiKeyControl } from './api-keys.ts'
import { AuthPlane, type AuthListener } from './auth/auth-plane.ts'
import { storeEvents, type AuthEvent } from './auth/events.ts'
import { authMailboxControl } from './auth/mailbox.ts'
import { storeMail } from './auth/mails.ts'
import { auditControl, AuditLog, forgetOldAuditEntries } from './audit-log.ts'
import { costControl } from './billing/costs.ts'
import { billingAdmin, type BillingAdmin } from './billing/operator.ts'
import { readAllBack } from './catalog.ts'
import { branchControl } from './branches.ts'
import { Computes, type EndpointListener, type Running } from './computes.ts'
import { connectionUriControl } from './connection-uris.ts'
import { consumptionControl } from './consumption.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'
import { dataApiControl } from './data-api/control.ts'
import { DataApiPlane, type DataApiActivity, type DataApiListener } from './data-api/data-api-plane.ts'
import { databaseControl } from './databases.ts'
import { reportEndpoints, type EndpointReport } from './endpoint-report.ts'
import { endpointControl } from './endpoints.ts'
import { eventControl, forgetOldEvents } from './events.ts'
import { idempotencyControl } from './idempotency.ts'
import { invitationControl } from './invitations.ts'
import { jwksControl } from './jwks.ts'
import { KeySets } from '../lib/key-sets.ts'
import { Journal } from './journal.ts'
import { Metering } from './metering/metering.ts'
import { Metrics, type ComputeSizeReport, type EndpointTraffic, type Latencies } from './metrics.ts'
import { createBranchChain } from './operations/create-branch.ts'
import { createProjectChain } from './operations/create-project.ts'
import {
  deleteBranchChain,
  restartChain,
  startChain,
  suspendChain,
  suspendComputesChain,
  updateEndpointChain,
} from './operations/endpoint-chains.ts'
import {
  createDatabaseChain,
  createRoleChain,
  deleteDatabaseChain,
  deleteRoleChain,
  resetPasswordChain,
  updateDatabaseChain,
} from './operations/role-and-database-chains.ts'
import { Runner } from './operations/runner.ts'
import { restoreBranchChain } from './operations/restore-branch.ts'
import {
  createSnapshotChain,
  deleteSnapshotChain,
  finalizeRestoreChain,
  restoreSnapshotChain,
} from './operations/snapshot-chains.ts'
import { operationControl } from './operations.ts'
import { organizationControl } from './organizations.ts'
import { organizationAdmin, organizationLimitControl, type OrganizationAdmin } from './organization-limits.ts'
import type { AskToPark } from './parking.ts'
import { HardLimits } from './hard-limits.ts'
import { PastReads } from './past-reads.ts'
import { permissionControl } from './project-permissions.ts'
import { projectControl } from './projects.ts'
import { AuthEventDeliveries, forgetOldAuthEvents } from './reconcilers/deliver-auth-events.ts'
import { forgetOverMails, MailDeliveries } from './reconcilers/deliver-mails.ts'
import { dropOldDeliveries, WebhookDeliveries } from './reconcilers/deliver-webhooks.ts'
import { forgiveOverPeriods, QuotaEnforcement } from './reconcilers/enforce-quotas.ts'
import { RateLimiter, rateLimitControl } from './rate-limits.ts'
import { autoscale } from './reconcilers/autoscale.ts'
import { closeNetworks } from './reconcilers/close-networks.ts'
import { closePeriods } from './reconcilers/close-periods.ts'
import { watchSpending } from './reconcilers/watch-spending.ts'
import { expireBranches } from './reconcilers/expire-branches.ts'
import { makeScheduledSnapshots } from './reconcilers/scheduled-snapshots.ts'
import { forgetRevoked } from './reconcilers/forget-revoked.ts'
import { purgeDeleted } from './reconcilers/purge-deleted.ts'
import { Rounds } from './reconcilers/rounds.ts'
import { suspendIdle } from './reconcilers/suspend-idle.ts'
import { takeImageAtSuspend, takeImages } from './reconcilers/take-images.ts'
import { tidy } from './reconcilers/tidy.ts'
import { trimHistory } from './reconcilers/trim-history.ts'
import { lookupRole, type RoleAccess } from './role-access.ts'
import { roleControl } from './roles.ts'
import { schemaControl } from './schemas.ts'
import { ServiceSessions } from './service-sessions.ts'
import { Sizes } from './sizes.ts'
import { snapshotControl } from './snapshots.ts'
import { deleteExpiredTransferRequests } from '../store/transfer-requests.ts'
import { TokenExchange, type TokenAccess } from './token-access.ts'
import { userControl } from './users.ts'
import { transferControl } from './transfers.ts'
import { WarmPool, type PoolLimits } from './warm-pool.ts'
import { webhookControl } from './webhooks.ts'

export const chainDefinitions = [
  createProjectChain,
  createBranchChain,
  startChain,
  suspendChain,
  restartChain,
  updateEndpointChain,
  deleteBranchChain,
  suspendComputesChain,
  createRoleChain,
  deleteRoleChain,
  resetPasswordChain,
  createDatabaseChain,
  updateDatabaseChain,
  deleteDatabaseChain,
  createSnapshotChain,
  deleteSnapshotChain,
  restoreSnapshotChain,
  finalizeRestoreChain,
  restoreBranchChain,
]

export type ControlParts = Omit<
  ControlContext,
  | 'activeComputes'
  | 'audit'
  | 'authPlane'
  | 'dataApiPlane'
  | 'computes'
  | 'sizes'
  | 'metering'
  | 'runner'
  | 'pool'
  | 'rateLimiter'
  | 'pastReads'
  | 'hardLimits'
  | 'sessions'
  | 'branchLocks'
  | 'historyLocks'
> & {
  journalFolder: string
  poolLimits: PoolLimits
  /** Of all accounts that have none of their own. */
  rateLimits: RateLimits | 'off'
  /** Bounds of the histograms that the proxy reports. */
  latencyBucketsSeconds: readonly number[]
}

export type ControlPlane = {
  control: Control
  /** Adopts what runs, takes up unfinished operations, and starts the background rounds. */
  open(): Promise<void>
  /** Lets operations at work end and stops the background; computes go on running. `stopsComputes`: whoever closes us stops them next. */
  close(options: { stopsComputes: boolean }): Promise<void>
  /** What the proxy asks for. */
  proxy: {
    lookupRole(endpointId: string, role: string): Promise<RoleAccess | undefined>
    authorizeToken(endpointId: string, role: string, token: string): Promise<TokenAccess>
    wake(endpointId: string): Promise<Running>
    reportActivity(
      activity: readonly (EndpointTraffic & { lastActivityAt: number })[],
      latencies: Latencies,
      run: string,
    ): Promise<void>
    onEndpointChanged(listener: EndpointListener): void
    parkWith(ask: AskToPark): void
  }
  /** What the auth process asks for. */
  auth: Pick<AuthPlane, 'findTarget' | 'wake'> & {
    sendMail(integrationId: string, mail: AuthMail): Promise<void>
    recordEvents(integrationId: string, events: readonly AuthEvent[]): Promise<void>
    onChanged(listener: AuthListener): void
  }
  /** What the Data API's process asks for. */
  dataApi: Pick<DataApiPlane, 'findTarget' | 'wake'> & {
    reportActivity(activity: readonly DataApiActivity[], run: string): void
    onChanged(listener: DataApiListener): void
  }
  /** For `pgrove status`. */
  report(): Promise<{ endpoints: EndpointReport[]; pool: { started: number; unstarted: number } }>
  /** For `pgrove org`. */
  organizations: OrganizationAdmin & BillingAdmin
  context: ControlContext
}

export function createControl(parts: ControlParts): ControlPlane {
  const { journalFolder, poolLimits, rateLimits, latencyBucketsSeconds, ...given } = parts
  const get = (): ControlContext => context
  const journal = new Journal({ folder: journalFolder, store: given.store, cell: given.cell, logger: given.logger })
  const context: ControlContext = {
    ...given,
    audit: new AuditLog(get),
    authPlane: new AuthPlane(get),
    dataApiPlane: new DataApiPlane(get),
    rateLimiter: new RateLimiter(() => context.store, rateLimits),
    branchLocks: new KeyedLock(),
    historyLocks: new KeyedLock(),
    computes: new Computes(get, journal),
    sizes: new Sizes(get),
    activeComputes: new ActiveComputes(get),
    metering: new Metering(get, journalFolder),
    runner: new Runner(get, chainDefinitions),
    pool: new WarmPool(get, poolLimits),
    pastReads: new PastReads(get),
    hardLimits: new HardLimits(get),
    sessions: new ServiceSessions((timelineId) => given.supervisor.client(timelineId)),
  }
  const tokens = new TokenExchange(get, new KeySets())
  const metrics = new Metrics(latencyBucketsSeconds, () => {
    const { started, unstarted } = context.pool.counts()
    return { sizes: sizesOf(context), poolStarted: started, poolUnstarted: unstarted }
  })
  const rounds = new Rounds(given.logger)
  const deliveries = new WebhookDeliveries(context)
  const mails = new MailDeliveries(context)
  const authEvents = new AuthEventDeliveries(context)
  const quotas = new QuotaEnforcement(context)
  context.computes.onChanged((endpointId) => context.pastReads.endpointChanged(endpointId))
  context.computes.onChanged((endpointId, what) => context.authPlane.changed({ endpointId, what }))
  context.computes.onChanged((endpointId, what) => context.dataApiPlane.changed({ endpointId, what }))
  let open = false
  watchExits(context, () => open)
  return {
    control: surface(context, metrics),
    context,
    async open() {
      await journal.open()
      await context.assignments.open()
      await context.storage.emptyTrash()
      await context.pool.open()
      const done = await tidy(context)
      given.logger.info(done, 'matched the machine with the rows')
      // It knows when computes began and ended that have not been accounted for.
      await journal.flush()
      await context.metering.open()
      await context.runner.nudgeAll()
      context.pool.refill()
      open = true
      rounds.start([
        { name: 'metering', everyMs: 1000, run: () => context.metering.round() },
        { name: 'old-usage', everyMs: 3_600_000, run: () => context.metering.forgetOld() },
        { name: 'suspend-idle', everyMs: 500, run: () => suspendIdle(context) },
        { name: 'autoscale', everyMs: 2000, run: () => autoscale(context) },
        { name: 'enforce-quotas', everyMs: 1000, run: () => quotas.enforce() },
        { name: 'webhooks', everyMs: 2000, run: () => deliveries.deliver() },
        { name: 'auth-mails', everyMs: 1000, run: () => mails.deliver() },
        { name: 'auth-events', everyMs: 1000, run: () => authEvents.deliver() },
        { name: 'old-auth-events', everyMs: 600_000, run: () => forgetOldAuthEvents(context) },
        { name: 'old-auth-mails', everyMs: 600_000, run: () => forgetOverMails(context) },
        { name: 'old-deliveries', everyMs: 60_000, run: () => dropOldDeliveries(context) },
        { name: 'old-events', everyMs: 3_600_000, run: () => forgetOldEvents(context) },
        { name: 'quota-periods', everyMs: 30_000, run: () => forgiveOverPeriods(context) },
        { name: 'purge-deleted', everyMs: 2000, run: () => purgeDeleted(context) },
        { name: 'take-images', everyMs: 5000, run: () => takeImages(context) },
        { name: 'trim-history', everyMs: 30_000, run: () => trimHistory(context) },
        { name: 'expire-branches', everyMs: 2000, run: () => expireBranches(context) },
        { name: 'scheduled-snapshots', everyMs: 15_000, run: () => makeScheduledSnapshots(context) },
        { name: 'close-networks', everyMs: 2000, run: () => closeNetworks(context) },
        { name: 'past-reads', everyMs: 5000, run: () => context.pastReads.closeIdle() },
        { name: 'storage-room', everyMs: 5000, run: () => context.storage.ensureRoom() },
        { name: 'operations', everyMs: 5000, run: () => context.runner.nudgeAll() },
        { name: 'journal', everyMs: 5000, run: () => journal.flush() },
        { name: 'metrics', everyMs: 60_000, run: () => forgetMetrics(context, metrics) },
        { name: 'refill-pool', everyMs: 5000, run: async () => context.pool.refill() },
        { name: 'close-periods', everyMs: 600_000, run: () => closePeriods(context) },
        { name: 'watch-spending', everyMs: 300_000, run: () => watchSpending(context) },
        { name: 'rate-budgets', everyMs: 600_000, run: () => forgetFullBudgets(context.store) },
        { name: 'transfer-requests', everyMs: 3_600_000, run: () => deleteExpiredTransferRequests(context.store) },
        { name: 'idempotency', everyMs: 3_600_000, run: () => deleteOldIdempotencyKeys(context.store) },
        { name: 'audit-log', everyMs: 3_600_000, run: () => forgetOldAuditEntries(context) },
        { name: 'revoked', everyMs: 3_600_000, run: () => forgetRevoked(context) },
      ])
    },
    async close({ stopsComputes }) {
      open = false
      await rounds.stop()
      await Promise.all([deliveries.close(), mails.close(), authEvents.close()])
      await context.runner.stop()
      await context.pastReads.closeAll()
      context.sessions.closeAll()
      await context.pool.close()
      if (stopsComputes) await readAllBack(context)
      await context.metering.close({ stopsComputes })
      await journal.flush()
      await context.audit.close()
    },
    proxy: {
      lookupRole: (endpointId, role) => lookupRole(context, endpointId, role),
      authorizeToken: (endpointId, role, token) => tokens.authorize(endpointId, role, token),
      async wake(name) {
        const past = PastReads.parse(name)
        return past ? await context.pastReads.wake(past) : await context.computes.wake(name)
      },
      async reportActivity(activity, latencies, run) {
        context.metering.noteTransfer(run, activity)
        for (const { endpointId, lastActivityAt, activeSessions } of activity) {
          context.computes.noteActivity(endpointId, lastActivityAt, activeSessions)
          context.pastReads.noteActivity(endpointId, lastActivityAt)
        }
        metrics.reportLatencies(latencies)
        const projects = await projectsOfEndpoints(context.store, metrics.unknown(activity)).catch(
          () => new Map<string, string>(),
        )
        metrics.report(activity, projects, Date.now())
      },
      onEndpointChanged: (listener) => context.computes.onChanged(listener),
      parkWith: (ask) => context.computes.parkWith(ask),
    },
    auth: {
      findTarget: (name) => context.authPlane.findTarget(name),
      wake: (integrationId) => context.authPlane.wake(integrationId),
      sendMail: (integrationId, mail) => storeMail(context, integrationId, mail),
      recordEvents: (integrationId, events) => storeEvents(context, integrationId, events),
      onChanged: (listener) => context.authPlane.onChanged(listener),
    },
    dataApi: {
      findTarget: (name) => context.dataApiPlane.findTarget(name),
      wake: (id) => context.dataApiPlane.wake(id),
      reportActivity: (activity, run) => context.dataApiPlane.reportActivity(activity, run),
      onChanged: (listener) => context.dataApiPlane.onChanged(listener),
    },
    report: async () => ({ endpoints: await reportEndpoints(context), pool: context.pool.counts() }),
    organizations: { ...organizationAdmin(context), ...billingAdmin(context) },
  }
}

function surface(context: ControlContext, metrics: Metrics): Control {
  const authenticator = new Authenticator(() => context)
  const { addresses } = context
  return {
    authenticate: (key, from) => authenticator.authenticate(key, from),
    addresses: {
      endpointHost: (endpointId) => addresses.endpointHost(endpointId),
      poolerHost: (endpointId) => addresses.poolerHost(endpointId),
      proxyHost: addresses.proxyHost,
    },
    recoveryWindowSeconds: context.recoveryWindowSeconds,
    projects: projectControl(context),
    branches: branchControl(context),
    snapshots: snapshotControl(context),
    endpoints: endpointControl(context),
    roles: roleControl(context),
    databases: databaseControl(context),
    operations: operationControl(context),
    schemas: schemaControl(context),
    connectionUris: connectionUriControl(context),
    consumption: consumptionControl(context),
    authorize: (caller, requirement, place) => authorize(context.store, caller, requirement, place),
    apiKeys: apiKeyControl(context),
    users: userControl(context),
    organizations: organizationControl(context),
    invitations: invitationControl(context),
    permissions: permissionControl(context),
    audit: auditControl(context),
    organizationLimits: organizationLimitControl(context),
    transfers: transferControl(context),
    aliases: aliasControl(context),
    costs: costControl(context),
    rateLimits: rateLimitControl(context.rateLimiter),
    regions: { list: async () => ({ regions, defaultRegionId }) },
    jwks: jwksControl(context),
    metrics: {
      /** They are everybody's. */
      async read(caller) {
        await assertMay(context.store, caller, 'operator')
        return { contentType: metrics.contentType, text: await metrics.text() }
      },
    },
    events: eventControl(context),
    webhooks: webhookControl(context),
    auth: authControl(context),
    authMailbox: authMailboxControl(context),
    dataApi: dataApiControl(context),
    idempotency: idempotencyControl(context),
  }
}

const sizesOf = ({ computes }: ControlContext): ComputeSizeReport[] =>
  [...computes.serving().values()].map(({ endpointId, projectId, currentCu }) => ({
    endpoint: endpointId,
    project: projectId,
    cu: currentCu,
  }))

async function forgetMetrics({ store }: ControlContext, metrics: Metrics): Promise<void> {
  const endpoints = metrics.endpoints()
  const there = await projectsOfEndpoints(store, endpoints)
  metrics.forget(Date.now(), new Set(endpoints.filter((id) => !there.has(id))))
}

/** A compute that died by itself: the endpoint is idle, and the next connection wakes it; Postgres recovers what was committed. */
function watchExits(context: ControlContext, isOpen: () => boolean): void {
  context.supervisor.onExit((timelineId: TimelineId, expected: boolean) => {
    context.sessions.close(timelineId)
    if (expected) {
      if (isOpen()) void takeImageAtSuspend(context, timelineId)
      return
    }
    const serving = context.computes.serving().get(timelineId)
    context.logger.warn({ timeline: timelineId, endpoint: serving?.endpointId }, 'a compute ended by itself')
    context.computes.forget(timelineId)
    context.pool.computeExited(timelineId)
  })
}
