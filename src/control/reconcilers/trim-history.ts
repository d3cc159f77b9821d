// Drops what lies before the history window of each project: images, and the log that only they needed.
//
// The last image before the window stays, since every point in the window may have to be replayed from it.

import { removeSegments, segmentsBefore } from '../../compute/wal-files.ts'
import { failpoint } from '../../lib/failpoint.ts'
import { errorChain } from '../../model/errors.ts'
import type { Image } from '../../model/image.ts'
import type { ImageId, TimelineId } from '../../model/ids.ts'
import {
  deleteImageRow,
  listHistories,
  listTimelineImages,
  markForsakenImages,
  unlinkImages,
} from '../../store/images.ts'
import { getTimeline } from '../../store/timelines.ts'
import type { ControlContext } from '../context.ts'
import { imagesInMaking } from '../images.ts'
import { slotsHoldFrom, walFoldersOf } from '../wal-head.ts'

/** So many newest images stay whatever their age in the window; of older ones, one an interval. */
const keptNewest = 8
const intervalMs = 6 * 3_600_000

/** Which images a timeline can do without. Oldest first; the first that stays reaches back to before the window. Pure. */
export function droppable(images: readonly Image[], windowStart: Date): Image[] {
  const base = images.findLastIndex((image) => image.wholeAt <= windowStart)
  const before = base > 0 ? images.slice(0, base) : []
  const within = images.slice(Math.max(0, base))
  const thinned: Image[] = []
  let last: Image | undefined
  for (const image of within.slice(0, Math.max(0, within.length - keptNewest))) {
    if (last && image.wholeAt.getTime() - last.wholeAt.getTime() < intervalMs) thinned.push(image)
    else last = image
  }
  return [...before, ...thinned]
}

export async function trimHistory(control: ControlContext): Promise<void> {
  for (const { timelineId, retentionSeconds } of await listHistories(control.store, control.cell)) {
    await trimTimeline(control, timelineId, retentionSeconds).catch((error: unknown) =>
      control.logger.warn({ timeline: timelineId, cause: errorChain(error) }, 'history could not be trimmed'),
    )
  }
  await removeForsakenImages(control)
}

async function trimTimeline(control: ControlContext, id: TimelineId, retentionSeconds: number): Promise<void> {
  const { store, storage } = control
  const lock = control.historyLocks.tryAcquire(id, 'trim')
  if (!lock) return
  using _lock = lock
  const timeline = await getTimeline(store, id)
  if (timeline?.state !== 'owned') return
  const images = await listTimelineImages(store, id)
  const drop = new Set<ImageId>(
    droppable(images, new Date(Date.now() - retentionSeconds * 1000)).map((image) => image.id),
  )
  if (drop.size === 0) return
  const held = await slotsHoldFrom(control, timeline)
  if (held === 'unknown') return
  const wanted = images.filter((image) => !drop.has(image.id)).map((image) => image.redoLsn)
  if (held !== undefined) wanted.push(held)
  const from = wanted.reduce((least, lsn) => (lsn < least ? lsn : least))
  // The log goes first: an image that is still there has the next round come back to it, and no point in the window needs either.
  for (const folder of walFoldersOf(storage, id)) {
    await removeSegments(folder, await segmentsBefore(folder, from), control.ownerOf(timeline.uidOffset))
  }
  await failpoint('trim.removed')
  await unlinkImages(store, id, [...drop])
  await failpoint('trim.unlinked')
}

/** Of no timeline and no snapshot any more. */
export async function removeForsakenImages(control: ControlContext): Promise<void> {
  for (const image of await markForsakenImages(control.store, control.cell, imagesInMaking())) {
    await control.storage.destroyImage(image.id)
    await deleteImageRow(control.store, image.id)
  }
}
