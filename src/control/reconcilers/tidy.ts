// Makes this machine match the rows again after a crash: what runs or lies on disk without a row goes, half-made slots go, running
// computes are given back to their endpoints.

import { AppError } from '../../model/errors.ts'
import type { TimelineId } from '../../model/ids.ts'
import { getEndpointTarget } from '../../store/endpoints.ts'
import { listImages } from '../../store/images.ts'
import { listSnapshotWalIds } from '../../store/snapshots.ts'
import { listTimelineIds, listTimelinesInState } from '../../store/timelines.ts'
import type { ControlContext } from '../context.ts'
import { removeTimeline } from '../timeline-removal.ts'

/** At boot, before anything else moves. */
export async function tidy(control: ControlContext): Promise<{ removed: number; adopted: number; stopped: number }> {
  const { store, storage, supervisor, cell } = control
  const known = new Set<string>(await listTimelineIds(store, cell))
  const onDisk = await storage.listTimelines()
  assertSameOrigin(known.size, onDisk.length)
  let removed = 0
  for (const id of supervisor.running()) if (!known.has(id)) await supervisor.ensureStopped(id, 'immediate')
  for (const id of onDisk) {
    if (known.has(id)) continue
    await supervisor.ensureStopped(id, 'immediate')
    await storage.destroyTimeline(id)
    await supervisor.forget(id)
    removed += 1
  }
  for (const timeline of await listTimelinesInState(store, cell, ['making', 'deleting'])) {
    const [user] = await store.query('select from branches where timeline_id = $1 or incoming_timeline_id = $1', [
      timeline.id,
    ])
    if (user) continue
    await removeTimeline(control, timeline.id)
    removed += 1
  }
  await tidyHistory(control)
  await tidyAssignments(control)
  const { adopted, stopped } = await adoptComputes(control)
  return { removed, adopted, stopped }
}

/** Images that were being taken, and log that belongs to nothing any more. */
async function tidyHistory({ store, storage, cell }: ControlContext): Promise<void> {
  const images = new Set<string>((await listImages(store, cell)).map(({ id }) => id))
  for (const id of await storage.listImages()) if (!images.has(id)) await storage.destroyImage(id)
  const users = new Set<string>([...(await listTimelineIds(store, cell)), ...(await listSnapshotWalIds(store, cell))])
  for (const id of await storage.listWal()) if (!users.has(id)) await storage.destroyWal(id)
}

/** With the control database down, an endpoint that was deleted or disabled must not wake from a file that a crash left. */
async function tidyAssignments({ store, assignments, cell }: ControlContext): Promise<void> {
  const rows = await store.query<{ id: string }>(
    `select e.id from endpoints e join branches b on b.id = e.branch_id join projects p on p.id = e.project_id
      where p.cell = $1 and not e.disabled and e.deleted_at is null and b.deleted_at is null and p.deleted_at is null`,
    [cell],
  )
  const mayWake = new Set(rows.map(({ id }) => id))
  for (const id of await assignments.list()) if (!mayWake.has(id)) await assignments.remove(id)
}

/** A timeline's row is there before its directory and goes after it, so data without any row means that the rows are another home's. */
function assertSameOrigin(rows: number, directories: number): void {
  if (rows > 0 || directories === 0) return
  throw new AppError(
    'config_invalid',
    `the control database knows none of the ${directories} data directories in the home folder, so it is not the one they belong to; point PGROVE_CONTROL_DATABASE_URL or PGROVE_HOME at the right one, or run \`pgrove reset --yes\` to begin anew. Nothing was removed`,
  )
}

async function adoptComputes(control: ControlContext): Promise<{ adopted: number; stopped: number }> {
  const { supervisor, pool, computes } = control
  let [adopted, stopped] = [0, 0]
  for (const timelineId of supervisor.running()) {
    if (pool.isSlot(timelineId)) continue
    const target = await targetOf(control, timelineId)
    if (target && !target.disabled && target.branchReady) {
      const state = supervisor.state(timelineId)
      computes.adopt({ ...target, timelineId }, state.kind === 'running' ? state.since.getTime() : Date.now())
      adopted += 1
    } else if (!target?.busy) {
      // Of a disabled or deleted endpoint, or of a branch that was only being worked on.
      await supervisor.ensureStopped(timelineId, 'fast')
      stopped += 1
    }
  }
  return { adopted, stopped }
}

async function targetOf(
  control: ControlContext,
  timelineId: TimelineId,
): Promise<Awaited<ReturnType<typeof getEndpointTarget>>> {
  const [row] = await control.store.query<{ id: string }>(
    `select e.id from endpoints e join branches b on b.id = e.branch_id
      where b.timeline_id = $1 and e.deleted_at is null and b.deleted_at is null and e.type = 'read_write'`,
    [timelineId],
  )
  return row && (await getEndpointTarget(control.store, row.id))
}
