// What it costs each second to keep account of many computes: with nobody connected, and with all of them in use.
//
// The computes are those of the books only: what is measured is the counting and the storing, on the control database of a real pgrove.

import { serviceRole, socketPort, templateDatabase } from '../../src/compute/postgres-service.ts'
import { Deliveries } from '../../src/control/metering/deliveries.ts'
import { Ledger } from '../../src/control/metering/ledger.ts'
import { homeAt, loadMasterKey } from '../../src/home.ts'
import { Cipher } from '../../src/lib/cipher.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import type { BranchId, EndpointId, ProjectId, TimelineId } from '../../src/model/ids.ts'
import type { Lsn } from '../../src/model/lsn.ts'
import { Store } from '../../src/store/database.ts'
import { createReadyProject } from '../api.ts'
import { timed } from '../connect.ts'
import { p50AtMost, type Result, type Row } from '../row.ts'
import { startBenchServer, type BenchServer } from '../server.ts'
import { summarize } from '../stats.ts'

const rounds = 100
/** Of those in use, a log is looked at every fifth second. */
const readEvery = 5

export const metering: Row = {
  name: 'metering',
  slow: false,
  about: 'a second of keeping account of many computes (--computes)',
  async run({ computes }, say) {
    await using server = await startBenchServer()
    const { id } = await createReadyProject(server)
    const store = await openStore(server)
    try {
      const deliveries = new Deliveries({
        folder: `${server.home}/bench-usage`,
        store,
        cell: 'bench',
        run: crypto.randomUUID(),
        logger: silentLogger,
      })
      await deliveries.open()
      const ledger = new Ledger(() => {})
      const all = Array.from({ length: computes }, (_, index) => ({
        timelineId: `bench${index}` as TimelineId,
        projectId: id as ProjectId,
        branchId: `br-bench-${index}` as BranchId,
        endpointId: `ep-bench-${index}` as EndpointId,
      }))
      for (const each of all) ledger.start({ ...each, cu: 0.25, since: Date.now() })
      await deliveries.send(ledger.take(), Date.now())
      const results: Result[] = []
      const measure = async (what: string, count: (round: number) => void): Promise<void> => {
        say(what)
        const times: number[] = []
        for (let round = 0; round < rounds; round++) {
          times.push(
            await timed(async () => {
              count(round)
              await deliveries.send(ledger.take(), Date.now())
            }),
          )
        }
        const figures = summarize(times)
        results.push({ what, unit: 'ms', figures, targets: [p50AtMost(figures, 100)] })
      }
      await measure(`${computes} computes, nobody connected`, () => {})
      await measure(`${computes} computes, all in use`, (round) => {
        for (const [index, each] of all.entries()) {
          const at = Date.now()
          ledger.readEdge({ run: 'bench', endpointId: each.endpointId, bytes: (round + 1) * 1000 })
          ledger.addBytes({ ...each, at, writtenBytes: 0, transferBytes: 1000 })
          if (index % readEvery !== round % readEvery) continue
          ledger.readLog({ timelineId: each.timelineId, lsn: BigInt((round + 1) * 8192) as Lsn, writtenBytes: 8192 })
          ledger.addBytes({ ...each, at, writtenBytes: 8192, transferBytes: 0 })
        }
      })
      return results
    } finally {
      await store.close()
    }
  },
}

async function openStore(server: BenchServer): Promise<Store> {
  const home = homeAt(server.home)
  const cipher = new Cipher(await loadMasterKey(home, undefined))
  return new Store({
    connection: {
      host: `${home.run}/controldb000`,
      port: socketPort,
      user: serviceRole,
      password: cipher.derive('control-database'),
      database: templateDatabase,
    },
    maxConnections: 4,
    prepares: true,
    logger: silentLogger,
  })
}
