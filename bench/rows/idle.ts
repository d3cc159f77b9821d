// A thousand suspended projects and nobody there: memory and CPU of pgrove's own processes, and whether the API still answers.

import { setTimeout as delay } from 'node:timers/promises'
import { createReadyProject } from '../api.ts'
import { apiLatency } from '../api-latency.ts'
import { many } from '../many.ts'
import { computePids, cpuSeconds, memoryOf, memoryOfAll } from '../processes.ts'
import { oneValue, type Row } from '../row.ts'
import { startBenchServer, type BenchServer } from '../server.ts'

const atOnce = 4
const asleepTimeoutMs = 300_000
/** A postmaster, its five workers, and the connection that the pool keeps to a slot. */
const processesInASlot = 7

export const idle: Row = {
  name: 'idle',
  slow: true,
  about: 'memory and CPU with 1,000 suspended projects (--projects, --seconds)',
  async run({ projects: count, seconds }, say) {
    await using server = await startBenchServer()
    let made = 0
    const projects = await many(count, atOnce, async () => {
      const project = await createReadyProject(server, { suspend_timeout_seconds: 1 })
      say(`${++made} of ${count} created`)
      return project
    })
    say('waiting for them to fall asleep')
    await whenAsleep(server)
    say(`watching for ${seconds} s`)
    const nodes = await server.nodePids()
    const pids = Object.values(nodes)
    const before = await Promise.all(pids.map(cpuSeconds))
    const began = performance.now()
    await delay(seconds * 1000)
    const took = (performance.now() - began) / 1000
    const after = await Promise.all(pids.map(cpuSeconds))
    const shares = after.map((now, index) => ((now - (before[index] ?? 0)) / took) * 100)
    const cpu = shares.reduce((sum, share) => sum + share, 0)
    const memory = await memoryOfAll(pids)
    const each = await Promise.all(
      Object.entries(nodes).map(async ([name, pid]) => `${name} ${(await memoryOf(pid)).pssMb.toFixed(0)}`),
    )
    return [
      {
        what: `memory of the Node processes, ${count} suspended`,
        unit: 'MB',
        figures: oneValue(memory.pssMb),
        targets: [{ text: '≤ 200', met: memory.pssMb <= 200 }],
        note: `PSS: ${each.join(', ')}; RSS ${memory.rssMb.toFixed(0)}`,
      },
      {
        what: `CPU of the Node processes, ${count} suspended`,
        unit: '%',
        figures: oneValue(cpu),
        targets: [{ text: '≤ 1 of a core', met: cpu <= 1 }],
        note: Object.keys(nodes)
          .map((name, index) => `${name} ${(shares[index] ?? 0).toFixed(2)}`)
          .join(', '),
      },
      await apiLatency(server, projects, `${count} suspended projects`),
    ]
  },
}

/** Only the warm pool's started slots run. */
async function whenAsleep(server: BenchServer): Promise<void> {
  const deadline = Date.now() + asleepTimeoutMs
  for (;;) {
    const { started } = await server.pool()
    if ((await computePids(server.storage.root)).length <= started * processesInASlot) return
    if (Date.now() > deadline) throw new Error('computes do not fall asleep')
    await delay(500)
  }
}
