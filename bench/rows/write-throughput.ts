// What history costs those who write: a project's compute, without the proxy, and beside it a bare Postgres with the same settings that
// lets go of its log. In turns, so that what the machine does meanwhile counts for both.

import { createReadyProject, type BenchProject } from '../api.ts'
import { connectedTo, settingsOf } from '../compute.ts'
import { directAddress } from '../../test/support/addresses.ts'
import type { Address } from '../../test/support/wire-session.ts'
import { timed } from '../connect.ts'
import { Floor } from '../floor.ts'
import { initialize, isPgbenchThere, tpcB } from '../pgbench.ts'
import { timesFloorAtLeast, type Result, type Row } from '../row.ts'
import { startBenchServer, type BenchServer } from '../server.ts'
import { summarize } from '../stats.ts'

const mostRounds = 3
const clients = 4
const scale = 20
/** What a bare one has of its own. */
const placement = new Set(['unix_socket_directories', 'port', 'hba_file', 'ident_file', 'cluster_name'])

type Sides = { history: Address; bare: Address }

export const writeThroughput: Row = {
  name: 'write-throughput',
  slow: true,
  about: 'TPC-B and a bulk load with history on, beside a bare Postgres (--seconds, --load-mb)',
  async run({ samples, seconds, loadMb }, say) {
    await using server = await startBenchServer()
    const project = await createReadyProject(server, { suspend_timeout_seconds: -1 })
    const floor = await Floor.on(server)
    await floor.start(await settingsWithoutHistory(server, project))
    const sides = { history: await directAddress(server, project), bare: floor.address }
    const rounds = Math.min(samples, mostRounds)
    const results = [await measureTpcB(sides, rounds, seconds, say), await measureBulkLoad(sides, rounds, loadMb, say)]
    await floor.stop('SIGINT')
    return results
  },
}

async function settingsWithoutHistory(server: BenchServer, project: BenchProject): Promise<Record<string, string>> {
  const settings = Object.entries(await settingsOf(server, project)).filter(([name]) => !placement.has(name))
  return { ...Object.fromEntries(settings), wal_keep_size: '0' }
}

async function measureTpcB(
  sides: Sides,
  rounds: number,
  seconds: number,
  say: (text: string) => void,
): Promise<Result> {
  const what = `TPC-B with history, scale ${scale}, ${clients} clients`
  if (!(await isPgbenchThere())) {
    const note = 'skipped: there is no pgbench in the PATH (Debian: postgresql-contrib)'
    return { what, unit: 'tps', figures: summarize([]), targets: [], note }
  }
  for (const side of Object.values(sides)) await initialize(side, scale)
  return await compare(what, 'tps', 0.9, rounds, sides, say, (side) => tpcB(side, { clients, seconds }))
}

async function measureBulkLoad(
  sides: Sides,
  rounds: number,
  megabytes: number,
  say: (text: string) => void,
): Promise<Result> {
  const what = `bulk load of ${megabytes} MB with history`
  return await compare(what, 'MB/s', 0.8, rounds, sides, say, (side) => bulkLoad(side, megabytes))
}

async function compare(
  what: string,
  unit: Result['unit'],
  share: number,
  rounds: number,
  sides: Sides,
  say: (text: string) => void,
  rate: (side: Address) => Promise<number>,
): Promise<Result> {
  const history: number[] = []
  const bare: number[] = []
  for (let i = 0; i < rounds; i++) {
    say(`${what}, ${i + 1} of ${rounds}`)
    history.push(await rate(sides.history))
    say(`the same without, ${i + 1} of ${rounds}`)
    bare.push(await rate(sides.bare))
  }
  const figures = summarize(history)
  const floor = summarize(bare)
  const pairs = history.map((value, i) => (value / (bare[i] ?? Number.NaN)).toFixed(2))
  return {
    what,
    unit,
    figures,
    floor: { what: 'bare Postgres with the same settings, without history', figures: floor },
    targets: [timesFloorAtLeast(figures, floor, share)],
    note: `× bare, round by round: ${pairs.join(', ')}`,
  }
}

/** Of rows of a kilobyte in one statement that is cheap to compute, so that the log is most of the work. */
async function bulkLoad(side: Address, megabytes: number): Promise<number> {
  const client = await connectedTo(side)
  try {
    await client.query('drop table if exists loaded; create table loaded (id bigint, filling text)')
    const ms = await timed(() =>
      client.query(`insert into loaded select id, repeat('x', 980) from generate_series(1, $1::bigint) as id`, [
        megabytes * 1000,
      ]),
    )
    const { rows } = await client.query<{ mb: number }>(`select pg_table_size('loaded')::float8 / 1048576 as mb`)
    return ((rows[0]?.mb ?? Number.NaN) * 1000) / ms
  } finally {
    await client.end()
  }
}
