// POST …/snapshot of a running root branch: how long its answer takes, and how long until the snapshot is complete.

import {
  createReadyProject,
  createSnapshot,
  deleteSnapshot,
  finishPromptly,
  get,
  whenPoolIsFull,
  type BenchProject,
} from '../api.ts'
import { connected, timed } from '../connect.ts'
import { fill } from '../fill.ts'
import { p50AtMost, type Row } from '../row.ts'
import { startBenchServer, type BenchServer } from '../server.ts'
import { summarize } from '../stats.ts'

const warmUps = 2
const filledMb = 17

export const snapshot: Row = {
  name: 'snapshot',
  slow: false,
  about: 'POST …/snapshot of a running root branch, the answer',
  async run({ samples }, say) {
    await using server = await startBenchServer()
    const project = await createReadyProject(server, { suspend_timeout_seconds: -1 })
    const client = await connected(project.uri)
    await fill(client, filledMb, say)
    await client.query('create table marks (mark integer)')
    await whenPoolIsFull(server)
    const figures = { answer: [] as number[], complete: [] as number[], read: [] as number[] }
    for (let i = -warmUps; i < samples; i++) {
      say(`${i + 1} of ${samples}`)
      await client.query('insert into marks values ($1)', [i])
      const { answer, complete } = await snapshotOnce(server, project)
      const read = await timed(() => get(server, `/projects/${project.id}`))
      if (i < 0) continue
      figures.answer.push(answer)
      figures.complete.push(complete)
      figures.read.push(read)
    }
    await client.end()
    const answer = summarize(figures.answer)
    const complete = summarize(figures.complete)
    return [
      {
        what: 'snapshot of a running root branch of 40 MB, the answer',
        unit: 'ms',
        figures: answer,
        floor: { what: 'GET of its project', figures: summarize(figures.read) },
        targets: [p50AtMost(answer, 100)],
        note: `until its operations are finished p50 ${complete.p50.toFixed(0)} ms, p99 ${complete.p99.toFixed(0)} ms`,
      },
    ]
  },
}

async function snapshotOnce(server: BenchServer, project: BenchProject): Promise<{ answer: number; complete: number }> {
  const began = performance.now()
  const made = await createSnapshot(server, project)
  const answer = performance.now() - began
  await finishPromptly(server, made.operations)
  const complete = performance.now() - began
  // A project may have a hundred of them.
  await deleteSnapshot(server, project, made.id)
  return { answer, complete }
}
