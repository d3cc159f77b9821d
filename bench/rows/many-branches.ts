// A thousand branches without a compute of one ancestor, and a thousand more, each of any of those there are: does the next one take
// longer than the first, and what does it take on disk?

import { stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { createBranchWithoutCompute, createReadyProject, finishPromptly, whenPoolIsFull } from '../api.ts'
import { connected, timed } from '../connect.ts'
import { fill } from '../fill.ts'
import { cloneFloor } from '../floor.ts'
import type { Result, Row } from '../row.ts'
import { startBenchServer, type BenchServer } from '../server.ts'
import { summarize } from '../stats.ts'

const filledMb = 17
const shown = 32

export const manyBranches: Row = {
  name: 'many-branches',
  slow: true,
  about: '1,024 branches of one ancestor, 1,024 of random earlier ones, without compute (--branches)',
  async run({ branches }, say) {
    await using server = await startBenchServer()
    const project = await createReadyProject(server, { suspend_timeout_seconds: -1 })
    const client = await connected(project.uri)
    await fill(client, filledMb, say)
    await client.end()
    await whenPoolIsFull(server)
    const made: string[] = []
    const measure = async (what: string, parent: () => string): Promise<Result> => {
      const before = await usedBytes(server)
      const figures: number[] = []
      const bare: number[] = []
      for (let i = 0; i < branches; i++) {
        say(`${what}: ${i + 1} of ${branches}`)
        figures.push(
          await timed(async () => {
            const { id, operations } = await createBranchWithoutCompute(server, project, parent())
            await finishPromptly(server, operations)
            made.push(id)
          }),
        )
        if (i % shown === 0) bare.push(...(await cloneFloor(server, 1)))
      }
      const mb = ((await usedBytes(server)) - before) / 2 ** 20
      const [first, last] = [summarize(figures.slice(0, shown)), summarize(figures.slice(-shown))]
      return {
        what,
        unit: 'ms',
        figures: summarize(figures),
        floor: { what: 'bare clone', figures: summarize(bare) },
        targets: [],
        note: `p50 of the first ${first.n} ${first.p50.toFixed(0)} ms, of the last ${last.n} ${last.p50.toFixed(0)} ms; ${(mb / (figures.length + bare.length)).toFixed(2)} MB of disk each`,
      }
    }
    return [
      await measure(`${branches} branches of one ancestor of 40 MB`, () => project.branchId),
      await measure(
        `${branches} branches of random earlier ones`,
        () => made[Math.floor(Math.random() * made.length)] ?? project.branchId,
      ),
    ]
  },
}

/** Of the file system; what the pool has taken from it to give back to the host is nobody's. */
async function usedBytes({ storage }: BenchServer): Promise<number> {
  const { blocks, bfree, bsize } = await statfs(storage.root)
  const ballast = await stat(join(storage.root, 'ballast')).then(
    (info) => info.blocks * 512,
    () => 0,
  )
  return (blocks - bfree) * bsize - ballast
}
