// Projects created for a minute without a pause, each counted once its first row was read, for several numbers of callers at once. All of
// them stay running, so the last ones are created beside hundreds of computes.

import { createProject } from '../api.ts'
import { firstRow } from '../connect.ts'
import { computePids } from '../processes.ts'
import { oneValue, type Result, type Row } from '../row.ts'
import { startBenchServer } from '../server.ts'
import { summarize } from '../stats.ts'

const wantedPerSecond = 10

export const sustainedCreates: Row = {
  name: 'sustained-creates',
  slow: true,
  about: 'projects created per second, each with a started compute, for a minute (--seconds, --concurrency)',
  async run({ seconds, concurrency }, say) {
    const results: Result[] = []
    for (const callers of concurrency) results.push(await measure(callers, seconds, say))
    return results
  },
}

async function measure(callers: number, seconds: number, say: (text: string) => void): Promise<Result> {
  await using server = await startBenchServer()
  const latencies: number[] = []
  const began = performance.now()
  const end = began + seconds * 1000
  const caller = async (): Promise<void> => {
    while (performance.now() < end) {
      const from = performance.now()
      const project = await createProject(server)
      await firstRow(project.uri)
      latencies.push(performance.now() - from)
      say(`${callers} at once: ${latencies.length} created`)
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const rate = latencies.length / ((performance.now() - began) / 1000)
  const { p50, p99 } = summarize(latencies)
  const running = (await computePids(server.storage.root)).length
  return {
    what: `sustained creates, ${callers} at once`,
    unit: '/s',
    figures: oneValue(rate),
    targets: [{ text: `≥ ${wantedPerSecond}`, met: rate >= wantedPerSecond }],
    note: `${latencies.length} created, to first row p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms; ${running} Postgres processes at the end`,
  }
}
