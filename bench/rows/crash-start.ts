// The start after a crash, which syncs the data directory first: file by file or the whole file system at once, on a quiet disk and beside a
// neighbour who writes. Measured on the bare Postgres, since it decides one of its settings.

import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Floor } from '../floor.ts'
import type { Result, Row } from '../row.ts'
import { startBenchServer } from '../server.ts'
import { summarize } from '../stats.ts'

const methods = ['fsync', 'syncfs'] as const
const chunk = Buffer.alloc(4 * 1024 * 1024, 1)
const neighbourBytes = 1.2 * 2 ** 30
const mostSamples = 10

export const crashStart: Row = {
  name: 'crash-start',
  slow: true,
  about: 'recovery_init_sync_method, alone and beside a neighbour who writes',
  async run({ samples }, say) {
    await using server = await startBenchServer({ PGROVE_WARM_POOL: '0,0' })
    const floor = await Floor.on(server)
    await floor.start()
    await floor.query('create table written (line text)')
    await floor.stop('SIGINT')
    const results: Result[] = []
    for (const beside of ['a quiet disk', 'a neighbour who writes'] as const) {
      for (const method of methods) {
        const figures: number[] = []
        for (let i = 0; i < Math.min(samples, mostSamples); i++) {
          say(`${method} beside ${beside}, ${i + 1}`)
          await floor.start()
          await floor.query(`insert into written select repeat('x', 100) from generate_series(1, 1000)`)
          await floor.stop('SIGQUIT')
          const neighbour =
            beside === 'a quiet disk' ? undefined : await dirty(join(server.storage.root, 'bench', 'neighbour'))
          figures.push(await floor.start({ recovery_init_sync_method: method }))
          await floor.stop('SIGINT')
          await neighbour?.[Symbol.asyncDispose]()
        }
        results.push({
          what: `start after a crash, ${method}, ${beside}`,
          unit: 'ms',
          figures: summarize(figures),
          targets: [],
        })
      }
    }
    return results
  },
}

/** Leaves data in the cache that nobody has asked to be on the disk. */
async function dirty(path: string): Promise<AsyncDisposable> {
  const file = await open(path, 'w')
  for (let written = 0; written < neighbourBytes; written += chunk.length) await file.write(chunk)
  await file.close()
  return { [Symbol.asyncDispose]: () => rm(path, { force: true }) }
}
