// POST /projects → first row through the proxy, with a full warm pool.

import { createProject, deleteProject, finish, whenPoolIsFull } from '../api.ts'
import { firstRow, timed } from '../connect.ts'
import { Floor } from '../floor.ts'
import { p50AtMost, type Result, type Row } from '../row.ts'
import { startBenchServer, type BenchServer } from '../server.ts'
import { summarize } from '../stats.ts'

const warmUps = 2

export const provisionFromPool: Row = {
  name: 'provision-from-pool',
  slow: false,
  about: 'POST /projects → first row, from the warm pool',
  async run({ samples }, say) {
    await using server = await startBenchServer()
    const floor = await Floor.on(server)
    const figures = { plain: [] as number[], tls: [] as number[], answer: [] as number[], floor: [] as number[] }
    for (let i = -warmUps; i < samples; i++) {
      say(`${i + 1} of ${samples}`)
      const [plain, tls] = [await provision(server, false), await provision(server, true)]
      const bare = await floor.sample()
      if (i < 0) continue
      figures.plain.push(plain.total)
      figures.tls.push(tls.total)
      figures.answer.push(plain.answer, tls.answer)
      figures.floor.push(bare)
    }
    const bare = { what: 'bare start', figures: summarize(figures.floor) }
    const result = (
      what: string,
      of: number[],
      targets: (made: ReturnType<typeof summarize>) => Result['targets'],
    ): Result => {
      const made = summarize(of)
      return { what, unit: 'ms', figures: made, floor: bare, targets: targets(made) }
    }
    return [
      result('provision from the pool, SCRAM', figures.plain, (made) => [p50AtMost(made, 40)]),
      result('provision from the pool, TLS + SCRAM', figures.tls, (made) => [p50AtMost(made, 40)]),
      result('  of that the answer to POST /projects', figures.answer, () => []),
    ]
  },
}

async function provision(server: BenchServer, tls: boolean): Promise<{ answer: number; total: number }> {
  await whenPoolIsFull(server)
  const began = performance.now()
  const project = await createProject(server)
  const answer = performance.now() - began
  const connect = await timed(() => firstRow(project.uri, tls ? { ca: server.ca, host: project.host } : undefined))
  await finish(server, project.operations)
  await deleteProject(server, project)
  return { answer, total: answer + connect }
}
