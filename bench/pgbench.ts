// Postgres' own benchmark, as the machine has it.

import { run } from '../src/lib/run.ts'
import type { Address } from '../test/support/wire-session.ts'

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

export type Load = { clients: number; seconds: number }

/** Transactions per second. */
export async function tpcB(address: Address, load: Load): Promise<number> {
  return await rate(address, [], load)
}

/** Transactions per second of what the arguments ask for. */
export async function rate(address: Address, args: readonly string[], { clients, seconds }: Load): Promise<number> {
  const threads = Math.min(clients, 2)
  const load = ['-c', String(clients), '-j', String(threads), '-T', String(seconds)]
  const report = await pgbench(address, [...args, ...load])
  const tps = Number(/^tps = ([\d.]+)/m.exec(report)?.[1])
  if (!(tps > 0)) throw new Error(`pgbench told no rate:\n${report}`)
  return tps
}

async function pgbench(address: Address, args: readonly string[]): Promise<string> {
  const { host, port, user, database, password, tls, options } = address
  const conninfo = [
    `host=${host} port=${port} user=${user} dbname=${database} sslmode=${tls ? 'require' : 'disable'}`,
    ...(options === undefined ? [] : [`options=${options}`]),
  ].join(' ')
  const { stdout } = await run('pgbench', [...args, conninfo], {
    env: password === undefined ? {} : { PGPASSWORD: password },
    timeoutMs,
  })
  return stdout
}
