// POST …/restore of a snapshot → first row of the restored state: in its branch's place, on the connection string that clients have, and
// as a preview on an endpoint of its own.

import { setTimeout as delay } from 'node:timers/promises'
import {
  createReadyProject,
  createSnapshot,
  deleteBranch,
  finish,
  restoreSnapshot,
  whenPoolIsFull,
  type BenchProject,
} from '../api.ts'
import { connected, firstRow, type Tls } from '../connect.ts'
import { fill } from '../fill.ts'
import { cloneFloor, Floor } from '../floor.ts'
import { p50AtMost, type Row } from '../row.ts'
import { startBenchServer, type BenchServer } from '../server.ts'
import { summarize } from '../stats.ts'

const warmUps = 1
const filledMb = 17
const timeoutMs = 60_000

export const restore: Row = {
  name: 'restore',
  slow: false,
  about: 'POST …/restore of a snapshot → first row, in place and as a preview',
  async run({ samples }, say) {
    await using server = await startBenchServer()
    const floor = await Floor.on(server)
    const project = await createReadyProject(server, { suspend_timeout_seconds: -1 })
    const client = await connected(project.uri)
    await fill(client, filledMb, say)
    await client.query('create table marks (mark integer); insert into marks values (0)')
    await client.end()
    const snapshot = await createSnapshot(server, project)
    await finish(server, snapshot.operations)
    await whenPoolIsFull(server)
    const figures = { inPlace: [] as number[], preview: [] as number[], floor: [] as number[] }
    const met = { before: 0, refused: [] as string[] }
    let current = project.branchId
    for (let i = -warmUps; i < samples; i++) {
      say(`${i + 1} of ${samples}`)
      const inPlace = await restoreInPlace(server, project, snapshot.id, current)
      current = inPlace.id
      const preview = await restoreAside(server, project, snapshot.id)
      const [clone = 0] = await cloneFloor(server, 1)
      const start = await floor.sample()
      met.before += inPlace.before
      met.refused.push(...inPlace.refused)
      if (i < 0) continue
      figures.inPlace.push(inPlace.ms)
      figures.preview.push(preview)
      figures.floor.push(clone + start)
    }
    const bare = { what: 'bare clone and start', figures: summarize(figures.floor) }
    const inPlace = summarize(figures.inPlace)
    const refused = [...new Set(met.refused)].join('; ')
    return [
      {
        what: 'restore in place, 40 MB, TLS + SCRAM',
        unit: 'ms',
        figures: inPlace,
        floor: bare,
        targets: [p50AtMost(inPlace, 400)],
        note: `of those who connected again, ${met.before} found the state before, ${met.refused.length} were refused${refused && ` (${refused})`}`,
      },
      {
        what: 'restore as a preview, 40 MB, TLS + SCRAM',
        unit: 'ms',
        figures: summarize(figures.preview),
        floor: bare,
        targets: [],
      },
    ]
  },
}

/** Each time the branch holds something that the snapshot does not, and a client is connected, whose connection ends when it is replaced. */
async function restoreInPlace(
  server: BenchServer,
  project: BenchProject,
  snapshotId: string,
  target: string,
): Promise<{ id: string; ms: number; before: number; refused: string[] }> {
  const client = await connected(project.uri)
  await client.query('insert into marks values (1)')
  const ended = new Promise((resolve) => client.once('end', resolve))
  const began = performance.now()
  const restored = await restoreSnapshot(server, project, snapshotId, target)
  await Promise.race([ended, delay(timeoutMs, undefined, { ref: false })])
  const seen = await firstRestoredRow(project.uri, { ca: server.ca, host: project.host })
  const ms = performance.now() - began
  await finish(server, restored.operations)
  await deleteBranch(server, project, { id: target })
  return { id: restored.id, ms, ...seen }
}

/** As an application does that connects again until it is served. */
async function firstRestoredRow(uri: string, tls: Tls): Promise<{ before: number; refused: string[] }> {
  const deadline = performance.now() + timeoutMs
  const seen = { before: 0, refused: [] as string[] }
  while (performance.now() < deadline) {
    const marks = await marksAt(uri, tls).catch((error: Error) => error)
    if (marks === 1) return seen
    if (marks instanceof Error) seen.refused.push(marks.message)
    else seen.before++
  }
  throw new Error('the restored state does not come', { cause: seen.refused.at(-1) })
}

async function marksAt(uri: string, tls: Tls): Promise<number> {
  const client = await connected(uri, tls)
  try {
    return (await client.query('select mark from marks')).rows.length
  } finally {
    void client.end().catch(() => {})
  }
}

async function restoreAside(server: BenchServer, project: BenchProject, snapshotId: string): Promise<number> {
  const began = performance.now()
  const restored = await restoreSnapshot(server, project, snapshotId)
  await firstRow(restored.uri, { ca: server.ca, host: restored.host }, 'select mark from marks')
  const ms = performance.now() - began
  await finish(server, restored.operations)
  await deleteBranch(server, project, restored)
  return ms
}
