// `npm run bench [row …] [--samples=N] …`: measures, prints a table and writes the same as JSON to bench/results/.
//
// Each row starts a pgrove of its own as a user would, and measures its floor in between its own samples, so that what disturbs one
// disturbs the other. A target that was missed is printed as missed.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine } from './machine.ts'
import type { Options, Result, Row } from './row.ts'
import { authSignIn } from './rows/auth-sign-in.ts'
import { branch, branchLarge } from './rows/branch-running-parent.ts'
import { connectLatency } from './rows/connect-latency.ts'
import { crashStart } from './rows/crash-start.ts'
import { dataApi } from './rows/data-api.ts'
import { dataPathRows } from './rows/data-path.ts'
import { density } from './rows/density.ts'
import { idle } from './rows/idle.ts'
import { idleClients } from './rows/idle-clients.ts'
import { largeOrganization } from './rows/large-organization.ts'
import { manyBranches } from './rows/many-branches.ts'
import { metering } from './rows/metering.ts'
import { noisyNeighbour } from './rows/noisy-neighbour.ts'
import { pastPoint, pastPointLarge } from './rows/past-point.ts'
import { provisionFromPool } from './rows/provision-from-pool.ts'
import { provisionWithoutPool } from './rows/provision-without-pool.ts'
import { restore } from './rows/restore.ts'
import { snapshot } from './rows/snapshot.ts'
import { sustainedCreates } from './rows/sustained-creates.ts'
import { wake } from './rows/wake.ts'
import { writeThroughput } from './rows/write-throughput.ts'
import { renderResults } from './table.ts'

const rows: readonly Row[] = [
  provisionFromPool,
  provisionWithoutPool,
  wake,
  branch,
  branchLarge,
  snapshot,
  restore,
  pastPoint,
  pastPointLarge,
  manyBranches,
  metering,
  writeThroughput,
  sustainedCreates,
  density,
  idle,
  crashStart,
  connectLatency,
  ...dataPathRows,
  idleClients,
  noisyNeighbour,
  largeOrganization,
  authSignIn,
  dataApi,
]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    samples: { type: 'string', default: '30' },
    seconds: { type: 'string', default: '60' },
    computes: { type: 'string', default: '500' },
    projects: { type: 'string', default: '1000' },
    'size-mb': { type: 'string', default: '10240' },
    concurrency: { type: 'string', default: '1,4,8,16' },
    branches: { type: 'string', default: '1024' },
    'log-mb': { type: 'string', default: '1024' },
    'load-mb': { type: 'string', default: '1024' },
    rounds: { type: 'string', default: '5' },
    'round-seconds': { type: 'string', default: '3' },
    clients: { type: 'string', default: '1,8,32,64' },
    'idle-clients': { type: 'string', default: '10000' },
    'idle-tls-clients': { type: 'string', default: '500' },
    organization: { type: 'string', default: '10000' },
    help: { type: 'boolean' },
  },
})

const whole = (text: string): number => {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`${JSON.stringify(text)} is not a whole number above 0`)
  return Number(text)
}

const options: Options = {
  samples: whole(values.samples),
  seconds: whole(values.seconds),
  computes: whole(values.computes),
  projects: whole(values.projects),
  sizeMb: whole(values['size-mb']),
  concurrency: values.concurrency.split(',').map(whole),
  branches: whole(values.branches),
  logMb: whole(values['log-mb']),
  loadMb: whole(values['load-mb']),
  rounds: whole(values.rounds),
  roundSeconds: whole(values['round-seconds']),
  clients: values.clients.split(',').map(whole),
  idleClients: whole(values['idle-clients']),
  idleTlsClients: whole(values['idle-tls-clients']),
  organization: whole(values.organization),
}

const line = (text: string): boolean => process.stdout.write(`${text}\n`)

function chosenRows(): readonly Row[] {
  if (positionals.length === 0) return rows.filter((row) => !row.slow)
  if (positionals.includes('all')) return rows
  return positionals.map((name) => {
    const row = rows.find((each) => each.name === name)
    if (!row)
      throw new Error(`there is no row ${JSON.stringify(name)}; rows: ${rows.map((each) => each.name).join(', ')}, all`)
    return row
  })
}

function help(): void {
  line(
    'npm run bench -- [row …] [--samples=30] [--seconds=60] [--computes=500] [--projects=1000] [--size-mb=10240] [--concurrency=1,4,8,16] [--branches=1024] [--log-mb=1024] [--load-mb=1024] [--rounds=5] [--round-seconds=3] [--clients=1,8,32,64] [--idle-clients=10000] [--idle-tls-clients=500] [--organization=10000]\n',
  )
  for (const row of rows)
    line(`  ${row.name.padEnd(24)}${row.about}${row.slow ? '  (slow: only when named, or with `all`)' : ''}`)
}

/** On a terminal one line that changes; elsewhere nothing. */
function say(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`)
}

async function main(): Promise<void> {
  if (values.help) return help()
  const chosen = chosenRows()
  const machine = await describeMachine()
  line(`${machine.cores} cores (${machine.cpu}), ${machine.memoryGb} GB, ${machine.kernel}`)
  line(`Postgres ${machine.postgres}, storage ${machine.storage}`)
  line(
    `Node ${machine.node}, commit ${machine.commit}, as ${machine.user === 'root' ? 'root' : 'an ordinary user'}, load ${machine.load}\n`,
  )
  const measured: { row: string; results: Result[]; error?: string }[] = []
  for (const row of chosen) {
    try {
      const results = await row.run(options, (text) => say(`${row.name}: ${text}`))
      say('')
      line(renderResults(results))
      measured.push({ row: row.name, results })
    } catch (error) {
      say('')
      const message = error instanceof Error ? error.message : String(error)
      line(`${row.name} failed: ${message}\n`)
      measured.push({ row: row.name, results: [], error: message })
      process.exitCode = 1
    }
  }
  const folder = join(import.meta.dirname, 'results')
  await mkdir(folder, { recursive: true })
  const path = join(folder, `${machine.at.replaceAll(':', '-')}.json`)
  await writeFile(path, `${JSON.stringify({ machine, options, measured }, null, 2)}\n`)
  line(`written to ${path}`)
}

await main()
