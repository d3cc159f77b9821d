// What a tenant feels of a neighbour that loops on every processor: small queries over one open connection, through the proxy. Where sizes are
// enforced and where they are not, in turns, each beside the same queries without the neighbour.

import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { comeFirst } from '../../src/processes/priority.ts'
import { createReadyProject, type BenchProject } from '../api.ts'
import { connected, timed } from '../connect.ts'
import type { Result, Row } from '../row.ts'
import { startBenchServer, type BenchServer } from '../server.ts'
import { summarize } from '../stats.ts'

/** Never waits for anything but a processor. */
const loop = 'do $$ begin loop end loop; end $$'
const loops = 4
const queries = 300
/** Who asks now and then has to be given a processor each time anew. */
const pauseMs = 3
/** A compute has its size after a round of the autoscaler. */
const sizingMs = 2500

type Side = { server: BenchServer; tenant: pg.Client; neighbours: Record<'small' | 'large', BenchProject> }

const sizes = { small: 0.25, large: 2 }
const fixed = (cu: number): Record<string, unknown> => ({
  autoscaling_limit_min_cu: cu,
  autoscaling_limit_max_cu: cu,
  suspend_timeout_seconds: -1,
})

export const noisyNeighbour: Row = {
  name: 'noisy-neighbour',
  slow: true,
  about: 'small queries of a tenant beside one that loops on every processor, sizes enforced and not (--rounds)',
  async run({ rounds }, say) {
    // The client is elsewhere, as a rule, and not what is measured.
    const stepBack = await comeFirst()
    await using enforced = await openSide('auto')
    await using free = await openSide('off')
    const seen = { alone: samples(), small: samples(), large: samples(), unbounded: samples(), aloneFree: samples() }
    for (let round = 1; round <= rounds; round++) {
      say(`${round} of ${rounds}`)
      seen.alone.push(...(await ask(enforced.tenant)))
      for (const size of ['small', 'large'] as const)
        seen[size].push(...(await beside(enforced, size, () => ask(enforced.tenant))))
      seen.aloneFree.push(...(await ask(free.tenant)))
      seen.unbounded.push(...(await beside(free, 'large', () => ask(free.tenant))))
    }
    await stepBack()
    const alone = summarize(seen.alone)
    const floor = { what: 'the same without a neighbour', figures: alone }
    const result = (what: string, of: number[], more: Partial<Result> = {}): Result => ({
      what,
      unit: 'ms',
      figures: summarize(of),
      floor,
      targets: [],
      ...more,
    })
    return [
      { what: 'small query, no neighbour', unit: 'ms', figures: alone, targets: [] },
      result(`  beside ${loops} loops in ${sizes.small} CU, enforced`, seen.small),
      result(`  beside ${loops} loops in ${sizes.large} CU, enforced`, seen.large),
      result(`  beside ${loops} loops, not enforced`, seen.unbounded, {
        floor: { what: 'the same without a neighbour, not enforced', figures: summarize(seen.aloneFree) },
      }),
    ]
  },
}

const samples = (): number[] => []

async function openSide(cgroups: 'auto' | 'off'): Promise<Side & AsyncDisposable> {
  const server = await startBenchServer({ PGROVE_CGROUPS: cgroups })
  try {
    const project = await createReadyProject(server, fixed(sizes.small))
    const neighbours = {
      small: await createReadyProject(server, fixed(sizes.small)),
      large: await createReadyProject(server, fixed(sizes.large)),
    }
    const tenant = await connected(project.uri)
    await tenant.query('create table t as select id, md5(id::text) as a from generate_series(1, 10000) as id')
    await tenant.query('alter table t add primary key (id)')
    return {
      server,
      tenant,
      neighbours,
      async [Symbol.asyncDispose]() {
        await tenant.end().catch(() => {})
        await server[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
}

async function ask(tenant: pg.Client): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < queries; i++) {
    times.push(await timed(() => tenant.query('select a from t where id = $1', [(i * 37) % 10_000])))
    await delay(pauseMs)
  }
  return times
}

/** While the neighbour loops, and is held to its size where it is. */
async function beside<T>(side: Side, size: 'small' | 'large', work: () => Promise<T>): Promise<T> {
  const neighbour = side.neighbours[size]
  const clients = await Promise.all(Array.from({ length: loops }, () => connected(neighbour.uri)))
  const looping = clients.map((client) => client.query(loop).catch(() => {}))
  try {
    await delay(sizingMs)
    return await work()
  } finally {
    const control = await connected(neighbour.uri)
    await control.query('select pg_cancel_backend(pid) from pg_stat_activity where query = $1', [loop])
    await Promise.all(looping)
    await Promise.all([control, ...clients].map((client) => client.end().catch(() => {})))
  }
}
