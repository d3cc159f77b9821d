// Hundreds of computes running at once: what each of them takes, and whether the API still answers.

import { createReadyProject } from '../api.ts'
import { apiLatency } from '../api-latency.ts'
import { firstRow, timed } from '../connect.ts'
import { many } from '../many.ts'
import { availableMb, computePids, memoryOfAll } from '../processes.ts'
import { oneValue, p99AtMost, type Row } from '../row.ts'
import { startBenchServer } from '../server.ts'
import { summarize } from '../stats.ts'

const atOnce = 4

export const density: Row = {
  name: 'density',
  slow: true,
  about: '500 computes running at once (--computes)',
  async run({ computes }, say) {
    await using server = await startBenchServer()
    const before = await availableMb()
    let made = 0
    const projects = await many(computes, atOnce, async () => {
      const project = await createReadyProject(server, { suspend_timeout_seconds: -1 })
      say(`${++made} of ${computes} running`)
      return project
    })
    const pids = await computePids(server.storage.root)
    const { pssMb } = await memoryOfAll(pids)
    const taken = before - (await availableMb())
    // The warm pool's started slots are computes like the others.
    const { started } = await server.pool()
    const each = pssMb / (projects.length + started)
    const reads: number[] = []
    for (const [index, project] of projects.entries()) {
      say(`reading from each: ${index + 1} of ${projects.length}`)
      reads.push(await timed(() => firstRow(project.uri)))
    }
    const connects = summarize(reads)
    return [
      {
        what: `memory of a compute, ${projects.length} running`,
        unit: 'MB',
        figures: oneValue(each),
        targets: [{ text: `${computes} run`, met: connects.n === computes }],
        note: `PSS ${pssMb.toFixed(0)} MB of ${pids.length} processes; ${taken.toFixed(0)} MB less available than before`,
      },
      {
        what: '  connect → first row on each of them',
        unit: 'ms',
        figures: connects,
        targets: [p99AtMost(connects, 100)],
      },
      await apiLatency(server, projects, `${projects.length} running computes`),
    ]
  },
}
