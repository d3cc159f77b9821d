import type { PgMajor } from '../model/compute.ts'
import type { ImageId, TimelineId } from '../model/ids.ts'
import type { Image, ImageState, ReplayStart } from '../model/image.ts'
import { formatLsn, parseLsn, type Lsn } from '../model/lsn.ts'
import type { Row, Sql } from './database.ts'

export const toLsn = (value: unknown): Lsn | undefined => (typeof value === 'string' ? parseLsn(value) : undefined)

const toImage = (row: Row): Image => ({
  id: row['id'] as ImageId,
  state: row['state'] as ImageState,
  template: (row['template'] as string | null) ?? undefined,
  pgMajor: row['pg_major'] as PgMajor,
  checkpointLsn: toLsn(row['checkpoint_lsn']) ?? (0n as Lsn),
  redoLsn: toLsn(row['redo_lsn']) ?? (0n as Lsn),
  tli: (row['tli'] as number | null) ?? 1,
  wholeLsn: toLsn(row['whole_lsn']) ?? (0n as Lsn),
  wholeAt: (row['whole_at'] as Date | null) ?? new Date(0),
})

/** Its row is there before its folder. */
export async function insertImage(sql: Sql, cell: string, image: { id: ImageId; pgMajor: PgMajor }): Promise<void> {
  await sql.query(`insert into images (id, cell, state, pg_major) values ($1, $2, 'making', $3)`, [
    image.id,
    cell,
    image.pgMajor,
  ])
}

/** The image that a template is; made the first time somebody asks. */
export async function ensureTemplateImage(
  sql: Sql,
  cell: string,
  image: { id: ImageId; template: string; pgMajor: PgMajor; start: ReplayStart },
): Promise<ImageId> {
  const { start } = image
  await sql.query(
    `insert into images (id, cell, state, template, pg_major, checkpoint_lsn, redo_lsn, whole_lsn, tli, whole_at)
     values ($1, $2, 'ready', $3, $4, $5, $6, $5, $7, 'epoch') on conflict (cell, template) where template is not null do nothing`,
    [
      image.id,
      cell,
      image.template,
      image.pgMajor,
      formatLsn(start.checkpointLsn),
      formatLsn(start.redoLsn),
      start.tli,
    ],
  )
  const [row] = await sql.query<{ id: ImageId }>('select id from images where cell = $1 and template = $2', [
    cell,
    image.template,
  ])
  return row?.id ?? image.id
}

/** The image is complete: whoever looks for one finds it from here on. False where it was given up meanwhile. */
export async function setImageReady(
  sql: Sql,
  id: ImageId,
  timelineId: TimelineId,
  at: ReplayStart & { wholeLsn: Lsn; wholeAt: Date },
): Promise<boolean> {
  const rows = await sql.query(
    `update images set state = 'ready', checkpoint_lsn = $2, redo_lsn = $3, tli = $4, whole_lsn = $5, whole_at = $6
      where id = $1 and state = 'making' returning id`,
    [id, formatLsn(at.checkpointLsn), formatLsn(at.redoLsn), at.tli, formatLsn(at.wholeLsn), at.wholeAt],
  )
  if (rows.length > 0) await linkImage(sql, timelineId, id)
  return rows.length > 0
}

export async function linkImage(sql: Sql, timelineId: TimelineId, imageId: ImageId): Promise<void> {
  await sql.query('insert into timeline_images (timeline_id, image_id) values ($1, $2) on conflict do nothing', [
    timelineId,
    imageId,
  ])
}

export async function unlinkImages(sql: Sql, timelineId: TimelineId, imageIds: readonly ImageId[]): Promise<void> {
  await sql.query('delete from timeline_images where timeline_id = $1 and image_id = any($2)', [timelineId, imageIds])
}

/** Oldest first. */
export async function listTimelineImages(sql: Sql, timelineId: TimelineId): Promise<Image[]> {
  const rows = await sql.query(
    `select i.* from timeline_images ti join images i on i.id = ti.image_id
      where ti.timeline_id = $1 and i.state = 'ready' order by i.whole_lsn, i.created_at`,
    [timelineId],
  )
  return rows.map(toImage)
}

/** Timelines that have more than one image to choose from: only of those can there be something to drop. */
export async function listHistories(
  sql: Sql,
  cell: string,
): Promise<{ timelineId: TimelineId; retentionSeconds: number }[]> {
  const rows = await sql.query(
    `select b.timeline_id, p.history_retention_seconds
       from branches b join projects p on p.id = b.project_id
      where p.cell = $1 and b.timeline_id in (select timeline_id from timeline_images group by timeline_id having count(*) > 1)`,
    [cell],
  )
  return rows.map((row) => ({
    timelineId: row['timeline_id'] as TimelineId,
    retentionSeconds: row['history_retention_seconds'] as number,
  }))
}

export async function getImage(sql: Sql, id: ImageId): Promise<Image | undefined> {
  const [row] = await sql.query('select * from images where id = $1', [id])
  return row && toImage(row)
}

export async function listImages(sql: Sql, cell: string): Promise<Image[]> {
  return (await sql.query('select * from images where cell = $1', [cell])).map(toImage)
}

/** Nobody's any more, or never finished: to be removed. A template's stays as long as its template. `making`: those at work. */
export async function markForsakenImages(sql: Sql, cell: string, making: readonly ImageId[]): Promise<Image[]> {
  await sql.query(
    `update images i set state = 'deleting'
      where i.cell = $1 and i.template is null and i.state <> 'deleting' and not (i.id = any($2))
        and not exists (select from timeline_images ti where ti.image_id = i.id)
        and not exists (select from snapshots s where s.image_id = i.id)`,
    [cell, making],
  )
  return (await sql.query(`select * from images where cell = $1 and state = 'deleting'`, [cell])).map(toImage)
}

export async function deleteImageRow(sql: Sql, id: ImageId): Promise<void> {
  await sql.query('delete from images where id = $1', [id])
}
