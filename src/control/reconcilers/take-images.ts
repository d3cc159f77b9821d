// Takes images of timelines that have written much since their last one, so that no point in the past is far from one.
//
// Never forces a checkpoint: an image is taken after one that Postgres made for itself. On a driver that copies in full an image costs
// the whole database, so there it has to be worth more.

import { readControlFile } from '../../compute/data-dir.ts'
import { errorChain } from '../../model/errors.ts'
import type { TimelineId } from '../../model/ids.ts'
import type { Lsn } from '../../model/lsn.ts'
import { getTimeline } from '../../store/timelines.ts'
import type { ControlContext } from '../context.ts'
import { noteHistorySize } from '../history-size.ts'
import { imagesOf, takeImage } from '../images.ts'

const megabyte = 1024n * 1024n
/** Log behind the newest image, in bytes, from which on another one is taken. */
const whileRunning = { shared: 64n * megabyte, copied: 1024n * megabyte }
const atSuspend = { shared: 16n * megabyte, copied: undefined }

/** Where the newest image of a timeline begins, as far as it is known: a look into the rows for each look at a compute would be many. */
const newest = new Map<TimelineId, Lsn>()

export async function takeImages(control: ControlContext): Promise<void> {
  for (const id of control.computes.serving().keys()) {
    await takeIfWorth(control, id, whileRunning)
    await measureNowAndThen(control, id)
  }
  for (const known of [newest, measuredAt]) {
    for (const id of known.keys()) if (!control.computes.serving().has(id)) known.delete(id)
  }
}

/** After a suspension. A wake need not wait: the image is of the stopped state or, replayed a little further, of a later one. */
export async function takeImageAtSuspend(control: ControlContext, id: TimelineId): Promise<void> {
  // Also what is being deleted, or only worked on, is stopped.
  if ((await getTimeline(control.store, id).catch(() => undefined))?.state !== 'owned') return
  await takeIfWorth(control, id, atSuspend)
  measuredAt.delete(id)
  await measureNowAndThen(control, id)
}

/** Going over an image's files takes a while, and nobody needs the size to the second. */
const measureEveryMs = 10 * 60_000
const measuredAt = new Map<TimelineId, number>()

async function measureNowAndThen(control: ControlContext, id: TimelineId): Promise<void> {
  if (Date.now() - (measuredAt.get(id) ?? 0) < measureEveryMs) return
  measuredAt.set(id, Date.now())
  await noteHistorySize(control, id).catch((error: unknown) =>
    control.logger.warn({ timeline: id, cause: errorChain(error) }, 'the size of a history could not be told'),
  )
}

async function takeIfWorth(
  control: ControlContext,
  id: TimelineId,
  limits: { shared: bigint; copied: bigint | undefined },
): Promise<void> {
  const limit = control.storage.description.copyOnWrite ? limits.shared : limits.copied
  if (limit === undefined) return
  try {
    const { redoLsn, state } = await readControlFile(control.storage.timelineDir(id))
    if (state !== 'in_production' && state !== 'shut_down') return
    if (redoLsn - (newest.get(id) ?? (0n as Lsn)) < limit) return
    // Somebody is making something from its past: the next round looks again.
    const lock = control.historyLocks.tryAcquire(id, 'image')
    if (!lock) return
    using _lock = lock
    const timeline = await getTimeline(control.store, id)
    if (timeline?.state !== 'owned') return
    const last = (await imagesOf(control, timeline)).at(-1)?.redoLsn ?? (0n as Lsn)
    newest.set(id, last)
    if (redoLsn - last < limit) return
    const image = await takeImage(control, timeline)
    newest.set(id, image.redoLsn)
    control.logger.info({ timeline: id, image: image.id }, 'image taken')
  } catch (error) {
    control.logger.warn({ timeline: id, cause: errorChain(error) }, 'an image could not be taken')
  }
}
