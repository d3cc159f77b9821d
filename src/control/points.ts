// A point in a branch's past, resolved to a place in its log before anything is made from it.

import type { Branch } from '../model/branch.ts'
import { AppError } from '../model/errors.ts'
import type { Image } from '../model/image.ts'
import { formatLsn, parseLsn, type Lsn } from '../model/lsn.ts'
import type { Project } from '../model/project.ts'
import type { Timeline } from '../model/timeline.ts'
import { getProject } from '../store/projects.ts'
import { getTimeline, setTimelineBirth } from '../store/timelines.ts'
import type { ControlContext } from './context.ts'
import { imagesOf, takeImage } from './images.ts'
import { headOf, readerOf, walFoldersOf } from './wal-head.ts'
import { withClient } from './branch-compute.ts'

/** As it was asked for. `micros`: since 1970; what committed before it is in, nothing else. */
export type Point = { kind: 'head' } | { kind: 'lsn'; lsn: Lsn } | { kind: 'time'; micros: bigint }

/** As a chain has it: a time is resolved before there is a chain. */
export type ChainPoint = Exclude<Point, { kind: 'time' }>

/** As a chain's input keeps it; the head is no input at all. */
export function storablePoint(point: ChainPoint): string | undefined {
  return point.kind === 'head' ? undefined : formatLsn(point.lsn)
}

export function storedPoint(value: unknown): ChainPoint {
  const lsn = typeof value === 'string' ? parseLsn(value) : undefined
  return lsn === undefined ? { kind: 'head' } : { kind: 'lsn', lsn }
}

/** An LSN is a place in one timeline: where the branch has got another one since it was resolved, it says nothing. */
export function assertSameTimeline(seen: Branch, now: Branch): void {
  if (seen.timelineId === now.timelineId) return
  throw new AppError('locked', 'the branch has just been restored; try again', { retryAfterSeconds: 1 })
}

/** What a new timeline is made of: replayed from the image, over the log in these folders, up to the place. */
export type ReplaySource = { image: Image; lsn: Lsn; walFolders: readonly string[] }

export type ResolvedPoint = ReplaySource & { timeline: Timeline; at: Date | undefined }

/** A client's clock may be ahead of ours by so much: its "now" is ours then. */
const clockSkewMicros = 10_000_000n
/** More log than that to replay, and a branch of the head waits for a new image in place of it. */
const replayAtMostBytes = 16n * 1024n * 1024n

const inMilliseconds = /\.\d{3}\D/
const stamp = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\s*([Zz]|[+-]\d\d:?\d\d)$/

/** Throws `bad_request` where both are given, or one is not what it should be. */
export function parsePoint(lsnText: string | undefined, timeText: string | undefined, now: Date): Point {
  if (lsnText !== undefined && timeText !== undefined) {
    throw new AppError('bad_request', 'give an LSN or a timestamp, not both')
  }
  if (lsnText !== undefined) {
    const lsn = parseLsn(lsnText)
    if (lsn === undefined)
      throw new AppError('bad_request', `${JSON.stringify(lsnText)} is no LSN; one looks like 0/1A2B3C8`)
    return { kind: 'lsn', lsn }
  }
  if (timeText === undefined) return { kind: 'head' }
  const stated = parseMicros(timeText)
  // A clock of milliseconds cuts off the rest: what was committed before somebody looked at one is to be in.
  const micros = stated === undefined || !inMilliseconds.test(timeText) ? stated : stated + 999n
  if (micros === undefined) {
    throw new AppError(
      'bad_request',
      `${JSON.stringify(timeText)} is no timestamp with a time zone; one looks like 2026-01-31T12:30:00.123Z`,
    )
  }
  const ahead = micros - BigInt(now.getTime()) * 1000n
  if (ahead > clockSkewMicros) throw new AppError('bad_request', `timestamp ${timeText} lies in the future`)
  return ahead > 0n ? { kind: 'head' } : { kind: 'time', micros }
}

/** Microseconds since 1970 of an RFC 3339 timestamp; finer digits are cut off. */
export function parseMicros(text: string): bigint | undefined {
  const [, date, time, fraction = '', zone] = stamp.exec(text.trim()) ?? []
  if (date === undefined || time === undefined || zone === undefined) return undefined
  const ms = Date.parse(`${date}T${time}${zone.toUpperCase()}`)
  return Number.isNaN(ms) ? undefined : BigInt(ms) * 1000n + BigInt(fraction.slice(0, 6).padEnd(6, '0'))
}

/**
 * Throws `bad_request` for a point outside the history window, with the window in the message. The caller holds the branch's history
 * (`control.historyLocks`) until what it makes of the point has its image and its log. `takeImages` false: the answer matters more than how
 * long it will take to replay. `resolved`: an LSN that this function gave before, in the window then.
 */
export async function resolvePoint(
  control: ControlContext,
  branch: Branch,
  point: Point,
  options: { takeImages?: boolean; resolved?: boolean } = {},
): Promise<ResolvedPoint> {
  const timeline = branch.timelineId && (await getTimeline(control.store, branch.timelineId))
  if (!timeline || timeline.state !== 'owned') {
    throw new AppError('unavailable', `branch ${branch.id} is still being made; try again shortly`, {
      retryAfterSeconds: 1,
    })
  }
  const project = await getProject(control.store, branch.projectId)
  if (!project) throw new AppError('internal', `branch ${branch.id} has lost its project`)
  if (point.kind === 'head') return await resolveHead(control, branch, timeline, options.takeImages ?? true)
  const images = await imagesOf(control, timeline)
  const walFolders = walFoldersOf(control.storage, timeline.id)
  if (point.kind === 'lsn' && options.resolved === true) {
    const image = newestBefore(images, point.lsn)
    if (!image) throw new AppError('unprocessable', 'the point has left the history of the branch meanwhile')
    return { timeline, image, lsn: point.lsn, walFolders, at: undefined }
  }
  const head = await headOf(control, branch, timeline)
  const window = await windowOf(control, { project, branch, timeline, images, head })
  const lsn =
    point.kind === 'lsn'
      ? await resolveLsn(control, timeline, images, window, point.lsn)
      : await resolveTime(control, timeline, images, window, point.micros)
  const image = newestBefore(images, lsn)
  if (!image) throw outside(window, 'the point')
  const at = point.kind === 'time' ? new Date(Number(point.micros / 1000n)) : undefined
  return { timeline: await asSeenNow(control, timeline), image, lsn, walFolders, at }
}

async function resolveHead(
  control: ControlContext,
  branch: Branch,
  timeline: Timeline,
  takeImages: boolean,
): Promise<ResolvedPoint> {
  const walFolders = walFoldersOf(control.storage, timeline.id)
  const at = new Date()
  let lsn = await headOf(control, branch, timeline)
  let image = newestBefore(await imagesOf(control, timeline), lsn)
  if (!image || (takeImages && lsn - image.redoLsn > replayAtMostBytes)) {
    if (control.supervisor.state(timeline.id).kind === 'running') {
      await withClient(control, timeline.id, (client) => client.query('CHECKPOINT'))
    }
    image = await takeImage(control, timeline)
    lsn = await headOf(control, branch, timeline)
    if (lsn < image.wholeLsn) throw new AppError('internal', 'an image is newer than its log')
  }
  return { timeline: await asSeenNow(control, timeline), image, lsn, walFolders, at }
}

/** Looking for the head, subscriptions may have been seen, which what is made of the timeline has to know. */
async function asSeenNow(control: ControlContext, timeline: Timeline): Promise<Timeline> {
  return (await getTimeline(control.store, timeline.id)) ?? timeline
}

/** Images are oldest first. */
function newestBefore(images: readonly Image[], lsn: Lsn): Image | undefined {
  return images.findLast((image) => image.wholeLsn <= lsn)
}

/** What can be had again. `from` is the first place in it, `fromMicros` the first moment. */
export type HistoryWindow = { from: Lsn; fromMicros: bigint; head: Lsn }

async function windowOf(
  control: ControlContext,
  known: { project: Project; branch: Branch; timeline: Timeline; images: readonly Image[]; head: Lsn },
): Promise<HistoryWindow> {
  const { project, branch, timeline, images, head } = known
  const nowMicros = BigInt(Date.now()) * 1000n
  const birthMicros = BigInt((timeline.birthAt ?? branch.createdAt).getTime()) * 1000n
  const retained = nowMicros - BigInt(project.historyRetentionSeconds) * 1_000_000n
  const fromMicros = retained > birthMicros ? retained : birthMicros
  if (timeline.birthLsn !== undefined && fromMicros === birthMicros)
    return { from: timeline.birthLsn, fromMicros, head }
  const from = await placeAt(control, timeline, images, head, fromMicros)
  // A project's first timeline knows when it was born, and where only once somebody has asked.
  if (fromMicros === birthMicros && timeline.birthAt) {
    await setTimelineBirth(control.store, timeline.id, from, timeline.birthAt)
  }
  return { from, fromMicros, head }
}

/** Where everything is in that committed before a moment. */
async function placeAt(
  control: ControlContext,
  timeline: Timeline,
  images: readonly Image[],
  head: Lsn,
  micros: bigint,
): Promise<Lsn> {
  const start = images.findLast((image) => BigInt(image.wholeAt.getTime()) * 1000n <= micros) ?? images[0]
  if (!start) return head
  // What a branch has of its parent's log before its own birth is not its past.
  const born = timeline.birthLsn ?? start.redoLsn
  const from = start.template === undefined && start.wholeLsn > born ? start.wholeLsn : born
  const reader = readerOf(control, timeline, start.tli, head)
  const first = await reader.firstRecordFrom(from)
  return (first && (await reader.placeBefore(first.lsn, micros))) ?? head
}

async function resolveTime(
  control: ControlContext,
  timeline: Timeline,
  images: readonly Image[],
  window: HistoryWindow,
  micros: bigint,
): Promise<Lsn> {
  // Times are shown in whole seconds: the second in which a branch was born is the branch's.
  if (micros / 1_000_000n < window.fromMicros / 1_000_000n) throw outside(window, 'the timestamp')
  if (micros <= window.fromMicros) return window.from
  const lsn = await placeAt(control, timeline, images, window.head, micros)
  return lsn < window.from ? window.from : lsn
}

async function resolveLsn(
  control: ControlContext,
  timeline: Timeline,
  images: readonly Image[],
  window: HistoryWindow,
  lsn: Lsn,
): Promise<Lsn> {
  if (lsn > window.head) throw outside(window, `LSN ${formatLsn(lsn)}`)
  if (lsn < window.from) throw outside(window, `LSN ${formatLsn(lsn)}`)
  if (lsn === window.head) return lsn
  const tli = images[0]?.tli ?? 1
  // A place in the middle of a record: that record is not in, what is before it is.
  const record = await readerOf(control, timeline, tli, window.head).firstRecordFrom(lsn)
  return record?.lsn ?? window.head
}

function outside(window: HistoryWindow, what: string): AppError {
  const from = new Date(Number(window.fromMicros / 1000n)).toISOString()
  return new AppError(
    'bad_request',
    `${what} lies outside the history of the branch, which reaches from ${from} (${formatLsn(window.from)}) to now (${formatLsn(window.head)})`,
  )
}
