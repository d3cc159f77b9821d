import { failpoint } from '../lib/failpoint.ts'
import { AppError } from '../model/errors.ts'
import type { TimelineId } from '../model/ids.ts'
import { deleteTimelineRow, setTimelineDeleting } from '../store/timelines.ts'
import type { ControlContext } from './context.ts'

/** Stops what runs on a timeline and removes it: compute, directory, row, in an order that any crash can be gone on from. */
export async function removeTimeline(control: ControlContext, id: TimelineId): Promise<void> {
  const [user] = await control.store.query<{ id: string }>(
    'select id from branches where timeline_id = $1 or incoming_timeline_id = $1',
    [id],
  )
  if (user) throw new AppError('internal', `timeline ${id} still belongs to branch ${user.id}`)
  await setTimelineDeleting(control.store, id)
  control.computes.forget(id)
  control.hardLimits.forget(id)
  await control.supervisor.ensureStopped(id, 'immediate')
  await failpoint('timeline.stopped')
  await control.storage.destroyTimeline(id)
  await control.storage.destroyWal(id)
  await control.supervisor.forget(id)
  await failpoint('timeline.forgotten')
  await deleteTimelineRow(control.store, id)
}
