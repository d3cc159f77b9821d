// Images of timelines: when one is worth taking, taking it, and what it lets go of.
//
// An image is a copy that never changes. It needs nothing from Postgres: the source may be at work, be stopped or be started meanwhile,
// and what makes the copy whole is the log from the checkpoint that was complete before the copying began.

import { moveSegments, segmentsBefore } from '../compute/wal-files.ts'
import { copyExclusions, replayStartOf } from '../compute/placement.ts'
import { failpoint } from '../lib/failpoint.ts'
import type { Image } from '../model/image.ts'
import { newImageId, type ImageId } from '../model/ids.ts'
import type { Lsn } from '../model/lsn.ts'
import type { Timeline } from '../model/timeline.ts'
import {
  ensureTemplateImage,
  getImage,
  insertImage,
  linkImage,
  listTimelineImages,
  setImageReady,
} from '../store/images.ts'
import { AppError } from '../model/errors.ts'
import { pgWal, slotsHoldFrom, wholeFrom } from './wal-head.ts'
import type { ControlContext } from './context.ts'

/** Images being taken by this process: a row that says `making` and is not among them was given up. */
const making = new Set<ImageId>()
export const imagesInMaking = (): ImageId[] => [...making]

/** Oldest first. A timeline that came straight from the template has the template as its first. */
export async function imagesOf(control: ControlContext, timeline: Timeline): Promise<Image[]> {
  const known = await listTimelineImages(control.store, timeline.id)
  if (known.length > 0) return known
  const template = String(timeline.pgMajor)
  await control.ensureTemplate(timeline.pgMajor)
  const id = await ensureTemplateImage(control.store, control.cell, {
    id: newImageId(),
    template,
    pgMajor: timeline.pgMajor,
    start: await replayStartOf(control.storage.templateDir(template)),
  })
  await linkImage(control.store, timeline.id, id)
  return await listTimelineImages(control.store, timeline.id)
}

/** Durable when it returns. The caller has seen to it that the newest checkpoint is worth replaying from. */
export async function takeImage(control: ControlContext, timeline: Timeline): Promise<Image> {
  const { store, storage, cell } = control
  // So that the images before it are known to be this timeline's.
  await imagesOf(control, timeline)
  await storage.assertRoom()
  const id = newImageId()
  making.add(id)
  try {
    await insertImage(store, cell, { id, pgMajor: timeline.pgMajor })
    const start = await replayStartOf(storage.timelineDir(timeline.id))
    const owner = control.ownerOf(timeline.uidOffset)
    await storage.cloneImage(id, timeline.id, { owner, exclude: copyExclusions, sync: true })
    await failpoint('image.copied')
    const wholeLsn = await wholeFrom(control, timeline)
    await store.transaction(async (sql) => {
      await setImageReady(sql, id, timeline.id, { ...start, wholeLsn, wholeAt: new Date() })
    })
    await failpoint('image.ready')
  } finally {
    making.delete(id)
  }
  const image = await getImage(store, id)
  if (!image) throw new AppError('internal', `image ${id} is gone`)
  await archiveWal(control, timeline, image.redoLsn)
  return image
}

/** Log that no start from here on needs leaves the data directory, where every crash start would go over it. */
async function archiveWal(control: ControlContext, timeline: Timeline, before: Lsn): Promise<void> {
  const { storage } = control
  const held = await slotsHoldFrom(control, timeline)
  if (held === 'unknown') return
  const limit = held !== undefined && held < before ? held : before
  const folder = pgWal(storage, timeline.id)
  const old = await segmentsBefore(folder, limit)
  if (old.length === 0) return
  const owner = control.ownerOf(timeline.uidOffset)
  await moveSegments(folder, await storage.ensureWalDir(timeline.id, owner), old, owner)
}
