// What the way to the database costs: pgbench straight to a bare Postgres, through the proxy, through its pooler, and through PgBouncer,
// which the proxy's figures stand beside as their floor. Every path in turn, so that what the machine does meanwhile counts for all.

import { openDataPaths, withoutPgBouncer, type DataPaths, type PathName } from '../data-paths.ts'
import { initialize, isPgbenchThere, rate } from '../pgbench.ts'
import { cpuSecondsOfAll } from '../processes.ts'
import { timesFloorAtLeast, type Options, type Result, type Row } from '../row.ts'
import { summarize } from '../stats.ts'

type Workload = {
  name: string
  about: string
  args: readonly string[]
  /** The share of PgBouncer's rate that is asked for, by path and number of clients. */
  targets?: Partial<Record<PathName, Partial<Record<number, number>>>>
  needsStatements?: boolean
}

const scale = 10

const workloads: readonly Workload[] = [
  {
    name: 'select',
    about: 'pgbench -S',
    args: ['-n', '-S'],
    targets: {
      proxy: { 8: 0.9, 64: 0.85 },
      'proxy TLS': { 8: 0.85, 64: 0.78 },
      pooled: { 8: 0.85, 64: 0.88 },
    },
  },
  { name: 'prepared', about: 'pgbench -S -M prepared', args: ['-n', '-S', '-M', 'prepared'], needsStatements: true },
  { name: 'tpc-b', about: 'pgbench (TPC-B)', args: ['-n'] },
  { name: 'reconnect', about: 'pgbench -S -C', args: ['-n', '-S', '-C'] },
]

export const dataPathRows: readonly Row[] = workloads.map((workload) => ({
  name: `data-path-${workload.name}`,
  slow: true,
  about: `${workload.about}: direct, proxy, pooled, PgBouncer (--clients, --rounds, --round-seconds)`,
  run: (options, say) => measure(workload, options, say),
}))

async function measure(workload: Workload, options: Options, say: (text: string) => void): Promise<Result[]> {
  if (!(await isPgbenchThere())) {
    const note = 'skipped: there is no pgbench in the PATH (Debian: postgresql-contrib)'
    return [{ what: workload.about, unit: 'tps', figures: summarize([]), targets: [], note }]
  }
  await using ways = await openDataPaths()
  for (const database of Object.values(ways.databases)) await initialize(database, scale)
  const results: Result[] = []
  for (const clients of options.clients) results.push(...(await measureClients(workload, clients, ways, options, say)))
  return results
}

type Measured = { tps: number[]; cpuMicros: number[] }

async function measureClients(
  workload: Workload,
  clients: number,
  ways: DataPaths,
  { rounds, roundSeconds: seconds }: Options,
  say: (text: string) => void,
): Promise<Result[]> {
  const paths = ways.paths.filter(
    ({ name }) => !(workload.needsStatements && isPgBouncer(name) && !ways.pgBouncer?.keepsStatements),
  )
  const measured = new Map<PathName, Measured>(paths.map(({ name }) => [name, { tps: [], cpuMicros: [] }]))
  for (let round = 1; round <= rounds; round++) {
    for (const { name, address, pids } of paths) {
      say(`${clients} clients, ${name}, round ${round} of ${rounds}`)
      const before = await cpuSecondsOfAll(pids)
      const tps = await rate(address, workload.args, { clients, seconds })
      const spent = (await cpuSecondsOfAll(pids)) - before
      measured.get(name)?.tps.push(tps)
      measured.get(name)?.cpuMicros.push((spent / (tps * seconds)) * 1e6)
    }
  }
  const direct = summarize(measured.get('direct')?.tps ?? [])
  return paths.map(({ name, rival, pids }) => {
    const { tps, cpuMicros } = measured.get(name) ?? { tps: [], cpuMicros: [] }
    const figures = summarize(tps)
    const rivals = rival && measured.get(rival)
    const floor = rival && rivals ? { what: rival, figures: summarize(rivals.tps) } : undefined
    const share = workload.targets?.[name]?.[clients]
    const remarks = [
      name === 'direct' ? bouncerRemark(workload, ways) : `${(figures.p50 / direct.p50).toFixed(2)} × direct`,
      ...(pids.length === 0 ? [] : [`${summarize(cpuMicros).p50.toFixed(0)} µs of CPU between`]),
      ...(rivals ? [`× ${rival}, round by round: ${ratios(tps, rivals.tps)}`] : []),
    ]
    return {
      what: `${workload.about}, ${clients} clients, ${name}`,
      unit: 'tps',
      figures,
      floor,
      targets: floor && share !== undefined ? [timesFloorAtLeast(figures, floor.figures, share)] : [],
      note: remarks.join('; '),
    }
  })
}

const isPgBouncer = (name: PathName): boolean => name.startsWith('PgBouncer')

function bouncerRemark(workload: Workload, { pgBouncer }: DataPaths): string {
  if (!pgBouncer) return withoutPgBouncer
  if (workload.needsStatements && !pgBouncer.keepsStatements)
    return `${pgBouncer.version} keeps no prepared statements (1.21 and later do)`
  return `beside ${pgBouncer.version}`
}

const ratios = (rates: readonly number[], others: readonly number[]): string =>
  rates.map((rate, round) => (rate / (others[round] ?? Number.NaN)).toFixed(2)).join(', ')
