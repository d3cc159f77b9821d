// What a timeline's past costs on disk.

import { walSegmentBytes } from '../compute/data-dir.ts'
import { listSegments } from '../compute/wal-files.ts'
import type { TimelineId } from '../model/ids.ts'
import { setHistoryBytes } from '../store/branches.ts'
import { listTimelineImages } from '../store/images.ts'
import type { ControlContext } from './context.ts'
import { walFoldersOf } from './wal-head.ts'

/** Its log, live and archived, and what its images do not share with anything. A template is not its own. */
export async function historyBytes(control: ControlContext, id: TimelineId): Promise<number> {
  const { storage, store } = control
  const folders = await Promise.all(walFoldersOf(storage, id).map(listSegments))
  const images = (await listTimelineImages(store, id)).filter(({ template }) => template === undefined)
  let bytes = folders.flat().length * walSegmentBytes
  for (const image of images) bytes += (await storage.imageUsage(image.id)).ownBytes
  return bytes
}

export async function noteHistorySize(control: ControlContext, id: TimelineId): Promise<void> {
  await setHistoryBytes(control.store, id, await historyBytes(control, id))
}
