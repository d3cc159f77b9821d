// A new timeline made from an image and its log: copied, replayed by Postgres, checked, and made durable before anybody is told.

import { assertReplayedTo, copyExclusions, placePoint } from '../compute/placement.ts'
import { disableSubscriptions } from '../compute/subscriptions.ts'
import { failpoint } from '../lib/failpoint.ts'
import type { ComputeSpec } from '../model/compute.ts'
import { AppError } from '../model/errors.ts'
import { newTimelineId, type TimelineId } from '../model/ids.ts'
import type { Timeline } from '../model/timeline.ts'
import { linkImage } from '../store/images.ts'
import type { Sql } from '../store/database.ts'
import { getTimeline, insertTimeline, moveTimeline, setTimelineBirth, setTimelineDeleting } from '../store/timelines.ts'
import { removeTimeline } from './timeline-removal.ts'
import type { ControlContext } from './context.ts'
import type { ReplaySource } from './points.ts'
import { withClient } from './branch-compute.ts'
import { flushedLsn } from './wal-head.ts'

/** Copies that this process made: only of those is it known that no crash came between. */
const placedHere = new Set<TimelineId>()

export type Origin = ReplaySource & Pick<Timeline, 'pgMajor' | 'uidOffset' | 'serviceKeyId' | 'hasSubscriptions'>

/** What is made of a timeline has its owner and its secret. */
export function originOf(timeline: Timeline): Omit<Origin, keyof ReplaySource> {
  const { pgMajor, uidOffset, serviceKeyId, hasSubscriptions } = timeline
  return { pgMajor, uidOffset, serviceKeyId, hasSubscriptions }
}

/**
 * Places a timeline and gives its id to `own`, in the transaction that writes its row. Its first start, by `recoverTimeline`, is still
 * to come. The caller holds the history of what it is made from.
 */
export async function placeTimeline(
  control: ControlContext,
  origin: Origin,
  own: (sql: Sql, id: TimelineId) => Promise<void>,
): Promise<TimelineId> {
  const { image, lsn, walFolders } = origin
  await control.storage.assertRoom()
  const id = newTimelineId()
  await control.store.transaction(async (sql) => {
    await insertTimeline(sql, control.cell, {
      id,
      pgMajor: origin.pgMajor,
      state: 'making',
      uidOffset: origin.uidOffset,
      serviceKeyId: origin.serviceKeyId,
      hasSubscriptions: origin.hasSubscriptions,
    })
    // Whoever trims the history of the source leaves alone what has a user.
    await linkImage(sql, id, image.id)
    await own(sql, id)
  })
  await failpoint('placing.recorded')
  const owner = control.ownerOf(origin.uidOffset)
  await control.storage.cloneTimeline(
    id,
    image.template === undefined ? { image: image.id } : { template: image.template },
    { owner, exclude: copyExclusions, finish: (draft) => placePoint(draft, image, { lsn, walFolders }, owner) },
  )
  await setTimelineBirth(control.store, id, lsn, new Date())
  await failpoint('placing.placed')
  placedHere.add(id)
  return id
}

/** Complete on disk, and of a copying that no crash interrupted: it need not be made again. */
export async function isPlaced(control: ControlContext, id: TimelineId): Promise<boolean> {
  return placedHere.has(id) && (await control.storage.hasTimeline(id))
}

/**
 * Starts the timeline for the first time, with fsync off since nobody has been told of it; proves that Postgres replayed to the very
 * place; leaves it running, durable and its owner's. `whileRunning` changes it before that.
 */
export async function recoverTimeline(
  control: ControlContext,
  spec: ComputeSpec,
  whileRunning?: () => Promise<void>,
): Promise<void> {
  const { store, supervisor, storage } = control
  const id = spec.timelineId
  const timeline = await getTimeline(store, id)
  if (!timeline || timeline.birthLsn === undefined) throw new AppError('internal', `timeline ${id} was never placed`)
  // Once it has run, it is not what was placed any more: a second try begins with another copy.
  placedHere.delete(id)
  await supervisor.ensureRunning(timeline.hasSubscriptions ? withoutReceiving(spec) : spec, { fresh: true })
  await assertReplayedTo(storage.timelineDir(id), timeline.birthLsn)
  await failpoint('placing.recovered')
  if (timeline.hasSubscriptions) {
    await withClient(control, id, disableSubscriptions)
    await supervisor.ensureStopped(id, 'fast')
    await supervisor.ensureRunning(spec, { fresh: true })
  }
  if (whileRunning) {
    await whileRunning()
    // What is changed before anybody is told is no part of its past.
    await setTimelineBirth(store, id, await withClient(control, id, flushedLsn), new Date())
  }
  await supervisor.makeDurable(id, () => storage.syncTimeline(id))
  await failpoint('placing.durable')
  await moveTimeline(store, id, 'making', 'owned')
}

/** Its subscriptions are its source's, and would take that one's place at the publisher as soon as a worker starts. */
export function withoutReceiving(spec: ComputeSpec): ComputeSpec {
  return { ...spec, pgSettings: { ...spec.pgSettings, max_logical_replication_workers: '0' } }
}

/** What was placed and is not wanted. `disown` takes it out of the rows that name it, in the transaction that marks it. */
export async function discardTimeline(
  control: ControlContext,
  id: TimelineId,
  disown: (sql: Sql) => Promise<void>,
): Promise<void> {
  placedHere.delete(id)
  await control.store.transaction(async (sql) => {
    await setTimelineDeleting(sql, id)
    await disown(sql)
  })
  await removeTimeline(control, id)
}
