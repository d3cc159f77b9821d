// POST /projects → first row through the proxy, without a warm pool: a clone, a start, and everything that makes it somebody's.

import { createProject, deleteProject, finish } from '../api.ts'
import { firstRow } from '../connect.ts'
import { cloneFloor, Floor } from '../floor.ts'
import { p50AtMost, p99AtMost, type Row } from '../row.ts'
import { startBenchServer } from '../server.ts'
import { summarize } from '../stats.ts'

const warmUps = 2

export const provisionWithoutPool: Row = {
  name: 'provision-without-pool',
  slow: false,
  about: 'POST /projects → first row, without a pool',
  async run({ samples }, say) {
    await using server = await startBenchServer({ PGROVE_WARM_POOL: '0,0' })
    const floor = await Floor.on(server)
    const figures: number[] = []
    const bare: number[] = []
    for (let i = -warmUps; i < samples; i++) {
      say(`${i + 1} of ${samples}`)
      const began = performance.now()
      const project = await createProject(server)
      await firstRow(project.uri, { ca: server.ca, host: project.host })
      const ms = performance.now() - began
      await finish(server, project.operations)
      await deleteProject(server, project)
      const [clone = 0] = await cloneFloor(server, 1)
      const start = await floor.sample()
      if (i < 0) continue
      figures.push(ms)
      bare.push(clone + start)
    }
    const made = summarize(figures)
    return [
      {
        what: 'provision without a pool, TLS + SCRAM',
        unit: 'ms',
        figures: made,
        floor: { what: 'bare clone and start', figures: summarize(bare) },
        targets: [p50AtMost(made, 150), p99AtMost(made, 350)],
      },
    ]
  },
}
