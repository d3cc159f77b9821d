// Postgres' own benchmark, as the machine has it.

import { run } from '../src/lib/run.ts'
import type { Address } from './compute.ts'

const timeoutMs = 3_600_000

export async function isPgbenchThere(): Promise<boolean> {
  return await run('pgbench', ['--version']).then(
    () => true,
    () => false,
  )
}

export async function initialize(address: Address, scale: number): Promise<void> {
  await pgbench(address, ['-i', '-q', '-s', String(scale)])
}

/** Transactions per second. */
export async function tpcB(
  address: Address,
  { clients, seconds }: { clients: number; seconds: number },
): Promise<number> {
  const report = await pgbench(address, ['-c', String(clients), '-j', '2', '-T', String(seconds)])
  const tps = Number(/^tps = ([\d.]+)/m.exec(report)?.[1])
  if (!(tps > 0)) throw new Error(`pgbench told no rate:\n${report}`)
  return tps
}

async function pgbench({ host, port, user, database, password }: Address, args: readonly string[]): Promise<string> {
  const { stdout } = await run('pgbench', [...args, '-h', host, '-p', String(port), '-U', user, database], {
    env: password === undefined ? {} : { PGPASSWORD: password },
    timeoutMs,
  })
  return stdout
}
