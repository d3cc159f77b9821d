// POST /branches on a running parent → first row on the child, with little and with much data in the parent.

import { createBranch, createReadyProject, deleteBranch, whenPoolIsFull, type BenchProject } from '../api.ts'
import { connected, firstRow } from '../connect.ts'
import { fill } from '../fill.ts'
import { Floor } from '../floor.ts'
import { p50AtMost, type Result, type Row, type Target } from '../row.ts'
import { startBenchServer, type BenchServer } from '../server.ts'
import { summarize, type Summary } from '../stats.ts'

const smallMb = 40
const warmUps = 1
/** An empty cluster of three databases. */
const emptyMb = 23

export const branch: Row = {
  name: 'branch',
  slow: false,
  about: `branch of a running parent of ${smallMb} MB → first row`,
  run: async ({ samples }, say) => [await measureSmall(samples, say)],
}

export const branchLarge: Row = {
  name: 'branch-large',
  slow: true,
  about: 'branch of a running parent of 10 GB → first row (--size-mb)',
  async run({ samples, sizeMb }, say) {
    const small = await measureSmall(samples, say)
    const large = await measure(sizeMb, samples, say, (figures) => [
      p50AtMost(figures, 250),
      { text: `p50 ≤ 1.3 × ${smallMb} MB`, met: figures.p50 <= 1.3 * small.figures.p50 },
    ])
    return [small, large]
  },
}

const measureSmall = (samples: number, say: (text: string) => void): Promise<Result> =>
  measure(smallMb, samples, say, (figures) => [p50AtMost(figures, 250)])

async function measure(
  megabytes: number,
  samples: number,
  say: (text: string) => void,
  targets: (figures: Summary) => Target[],
): Promise<Result> {
  await using server = await startBenchServer()
  const floor = await Floor.on(server)
  const parent = await createReadyProject(server, { suspend_timeout_seconds: -1 })
  const client = await connected(parent.uri)
  await fill(client, megabytes - emptyMb, say)
  await client.end()
  await whenPoolIsFull(server)
  const figures: number[] = []
  const bare: number[] = []
  for (let i = -warmUps; i < samples; i++) {
    say(`${megabytes} MB, ${i + 1} of ${samples}`)
    const ms = await branchOnce(server, parent, i)
    const start = await floor.sample()
    if (i < 0) continue
    figures.push(ms)
    bare.push(start)
  }
  const made = summarize(figures)
  return {
    what: `branch of a running parent of ${megabytes} MB, TLS + SCRAM`,
    unit: 'ms',
    figures: made,
    floor: { what: 'bare start', figures: summarize(bare) },
    targets: targets(made),
  }
}

/** Each time the child has to have what was committed in the parent just before. */
async function branchOnce(server: BenchServer, parent: BenchProject, mark: number): Promise<number> {
  const client = await connected(parent.uri)
  await client.query('create table if not exists marks (mark integer)')
  await client.query('insert into marks values ($1)', [mark])
  await client.end()
  const began = performance.now()
  const child = await createBranch(server, parent)
  await firstRow(child.uri, { ca: server.ca, host: child.host }, `select from marks where mark = ${mark}`)
  const ms = performance.now() - began
  await deleteBranch(server, parent, child)
  return ms
}
