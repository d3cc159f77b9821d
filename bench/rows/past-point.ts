// POST /branches at a timestamp → first row on the child, with little and with much log between the image it starts from and the point.
//
// The first image of a project is its template. No checkpoint comes after it here, so pgrove takes no other, and all that was written
// before the point has to be replayed.

import { createBranch, createReadyProject, deleteBranch, whenPoolIsFull, type BenchProject } from '../api.ts'
import { replayOf, type Replay } from '../compute.ts'
import { connected, firstRow } from '../connect.ts'
import { fill } from '../fill.ts'
import { cloneFloor, Floor } from '../floor.ts'
import { p50AtMost, type Result, type Row, type Target } from '../row.ts'
import { startBenchServer, type BenchServer } from '../server.ts'
import { summarize, type Summary } from '../stats.ts'

const smallMb = 64
const warmUps = 1
/** A gigabyte takes seconds to replay. */
const mostLargeSamples = 5
const withoutCheckpoints = { checkpoint_timeout: '1h', max_wal_size: '16GB' }

export const pastPoint: Row = {
  name: 'past-point',
  slow: false,
  about: `branch at a past timestamp, ${smallMb} MB of log to replay → first row`,
  run: async ({ samples }, say) => [await measure(smallMb, samples, say, (figures) => [p50AtMost(figures, 1000)])],
}

export const pastPointLarge: Row = {
  name: 'past-point-large',
  slow: true,
  about: 'branch at a past timestamp, 1 GB of log to replay → first row (--log-mb)',
  run: async ({ samples, logMb }, say) => [await measure(logMb, Math.min(samples, mostLargeSamples), say, () => [])],
}

async function measure(
  megabytes: number,
  samples: number,
  say: (text: string) => void,
  targets: (figures: Summary) => Target[],
): Promise<Result> {
  await using server = await startBenchServer()
  const floor = await Floor.on(server)
  const parent = await createReadyProject(server, { suspend_timeout_seconds: -1, pg_settings: withoutCheckpoints })
  const point = await writePast(parent, megabytes, say)
  await whenPoolIsFull(server)
  const figures = { child: [] as number[], answer: [] as number[], floor: [] as number[] }
  let replayed: Replay | undefined
  for (let i = -warmUps; i < samples; i++) {
    say(`${megabytes} MB of log, ${i + 1} of ${samples}`)
    const child = await branchOnce(server, parent, point, megabytes)
    const [clone = 0] = await cloneFloor(server, 1)
    const recovery = await recoverBare(floor, megabytes)
    replayed = child.replayed
    if (i < 0) continue
    figures.child.push(child.ms)
    figures.answer.push(child.answer)
    figures.floor.push(clone + recovery)
  }
  const made = summarize(figures.child)
  return {
    what: `branch at a past timestamp, ${megabytes} MB of rows to replay, TLS + SCRAM`,
    unit: 'ms',
    figures: made,
    floor: {
      what: 'bare clone and start after a crash with as many rows to replay',
      figures: summarize(figures.floor),
    },
    targets: targets(made),
    note: `of that the answer p50 ${summarize(figures.answer).p50.toFixed(0)} ms; ${told(replayed)}`,
  }
}

function told(replay: Replay | undefined): string {
  if (!replay) return 'nothing was replayed'
  return `${replay.megabytes.toFixed(0)} MB of log were replayed, the last time in ${replay.ms.toFixed(0)} ms`
}

/** Returns the moment between the rows that a child is to have and the one that it is not. */
async function writePast(parent: BenchProject, megabytes: number, say: (text: string) => void): Promise<string> {
  const client = await connected(parent.uri)
  await client.query('create table marks (mark text)')
  await fill(client, megabytes, say)
  const { rows } = await client.query<{ moment: string }>(
    `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as moment`,
  )
  await client.query(`insert into marks values ('behind the point')`)
  await client.end()
  return rows[0]?.moment ?? ''
}

async function branchOnce(
  server: BenchServer,
  parent: BenchProject,
  point: string,
  megabytes: number,
): Promise<{ ms: number; answer: number; replayed: Replay | undefined }> {
  const began = performance.now()
  const child = await createBranch(server, parent, { parent_timestamp: point })
  const answer = performance.now() - began
  await firstRow(child.uri, { ca: server.ca, host: child.host }, 'select from filling limit 1')
  const ms = performance.now() - began
  await assertStandsAt(child.uri, megabytes)
  const replayed = await replayOf(server, child)
  await deleteBranch(server, parent, child)
  return { ms, answer, replayed }
}

async function assertStandsAt(uri: string, megabytes: number): Promise<void> {
  const client = await connected(uri)
  const { rows } = await client.query<{ filled: number; marks: number }>(
    'select (select count(*)::integer from filling) as filled, (select count(*)::integer from marks) as marks',
  )
  await client.end()
  const [found] = rows
  if (found?.filled !== megabytes * 1000 || found.marks !== 0)
    throw new Error(`the child does not stand at its point: ${JSON.stringify(found)}`)
}

/** With the same log to replay each time. */
async function recoverBare(floor: Floor, megabytes: number): Promise<number> {
  const settings = { ...withoutCheckpoints, wal_keep_size: '0' }
  await floor.start(settings)
  await floor.query('drop table if exists filling')
  await fill(floor, megabytes, () => {})
  await floor.stop('SIGQUIT')
  const ms = await floor.start(settings)
  await floor.stop('SIGINT')
  return ms
}
