// Snapshots of branches, what is made of them, and the schedules that take them.

import type { Api, BackupSchedule, BackupScheduleItem, CreateSnapshotParams } from '@neondatabase/api-client'
import type { CreateSnapshotInput } from '../control/params.ts'
import type { SnapshotScheduleItem } from '../model/snapshot-schedule.ts'
import { branchView } from './branch-view.ts'
import type { SnapshotCreateBody, SnapshotUpdateBody } from './contract/additions.ts'
import type { Wire } from './contract/wire.ts'
import { endpointView } from './endpoint-view.ts'
import { accepted, ok, type ApiRequest, type Handlers } from './handler.ts'
import { operationView } from './operation-view.ts'
import { snapshotView } from './snapshot-view.ts'

type CreateQuery = Omit<CreateSnapshotParams, 'projectId' | 'branchId'>
type RestoreBody = NonNullable<Parameters<Api<unknown>['restoreSnapshot']>[1]>

export const snapshots = {
  async createSnapshot({ control, caller, params, query, body }: ApiRequest<CreateQuery, SnapshotCreateBody>) {
    const input = toCreateInput(query, body)
    const made = await control.snapshots.create(caller, params.project_id, params.branch_id, input)
    return ok({ snapshot: snapshotView(made.snapshot), operations: made.operations.map(operationView) })
  },

  async listSnapshots({ control, caller, params }: ApiRequest) {
    const snapshots = await control.snapshots.list(caller, params.project_id)
    return ok({ snapshots: snapshots.map(snapshotView) })
  },

  async updateSnapshot({ control, caller, params, body }: ApiRequest<unknown, SnapshotUpdateBody>) {
    const { name, expires_at: expiresAt, metadata } = body.snapshot
    const input = { name, expiresAt, metadata }
    return ok({
      snapshot: snapshotView(await control.snapshots.update(caller, params.project_id, params.snapshot_id, input)),
    })
  },

  async deleteSnapshot({ control, caller, params }: ApiRequest) {
    const { operations } = await control.snapshots.delete(caller, params.project_id, params.snapshot_id)
    return accepted({ operations: operations.map(operationView) })
  },

  async restoreSnapshot({
    control,
    caller,
    params,
    query,
    body,
    creationSource,
  }: ApiRequest<{ name?: string }, RestoreBody>) {
    const made = await control.snapshots.restore(caller, params.project_id, params.snapshot_id, {
      name: body.name ?? query.name,
      targetBranchId: body.target_branch_id,
      finalize: body.finalize_restore ?? false,
      creationSource,
    })
    return ok({
      branch: branchView(made.branch),
      endpoints: made.endpoints.map((endpoint) => endpointView(endpoint, control.addresses)),
      operations: made.operations.map(operationView),
    })
  },

  async getSnapshotSchedule({ control, caller, params }: ApiRequest) {
    const items = await control.branches.snapshotSchedule(caller, params.project_id, params.branch_id)
    return ok({ schedule: items.map(scheduleItemView) })
  },

  async setSnapshotSchedule({ control, caller, params, body }: ApiRequest<unknown, BackupSchedule>) {
    const items = body.schedule.map(toScheduleItem)
    await control.branches.setSnapshotSchedule(caller, params.project_id, params.branch_id, items)
    return ok({})
  },
} satisfies Handlers

/** Neon's clients send the same fields in either place. */
function toCreateInput(query: Wire<CreateQuery>, body: Wire<SnapshotCreateBody>): CreateSnapshotInput {
  return {
    name: query.name ?? body.name ?? undefined,
    lsn: query.lsn ?? body.lsn ?? undefined,
    timestamp: query.timestamp ?? body.timestamp ?? undefined,
    expiresAt: query.expires_at ?? body.expires_at ?? undefined,
    metadata: body.metadata ?? undefined,
  }
}

function scheduleItemView(item: SnapshotScheduleItem): Wire<BackupScheduleItem> {
  const { frequency, hour, day, month, retentionSeconds } = item
  return { frequency, hour, day, month, retention_seconds: retentionSeconds }
}

function toScheduleItem(item: Wire<BackupScheduleItem>): SnapshotScheduleItem {
  const { hour, day, month, retention_seconds: retentionSeconds } = item
  return { frequency: item.frequency as SnapshotScheduleItem['frequency'], hour, day, month, retentionSeconds }
}
