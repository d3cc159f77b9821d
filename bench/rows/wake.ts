// Connect to a suspended endpoint → first row, TLS and SCRAM included.

import { createReadyProject, suspend, whenPoolIsFull } from '../api.ts'
import { firstRow, timed } from '../connect.ts'
import { Floor } from '../floor.ts'
import { p99AtMost, timesFloorAtMost, type Row } from '../row.ts'
import { startBenchServer } from '../server.ts'
import { summarize } from '../stats.ts'

const warmUps = 2

export const wake: Row = {
  name: 'wake',
  slow: false,
  about: 'connect to a suspended endpoint → first row',
  async run({ samples }, say) {
    await using server = await startBenchServer()
    const floor = await Floor.on(server)
    const project = await createReadyProject(server)
    const tls = { ca: server.ca, host: project.host }
    await firstRow(project.uri, tls)
    await whenPoolIsFull(server)
    const woken: number[] = []
    const awake: number[] = []
    const bare: number[] = []
    for (let i = -warmUps; i < samples; i++) {
      say(`${i + 1} of ${samples}`)
      await suspend(server, project)
      const ms = await timed(() => firstRow(project.uri, tls))
      const again = await timed(() => firstRow(project.uri, tls))
      const start = await floor.sample()
      if (i < 0) continue
      woken.push(ms)
      awake.push(again)
      bare.push(start)
    }
    const figures = summarize(woken)
    const floorFigures = summarize(bare)
    return [
      {
        what: 'wake on connect, TLS + SCRAM',
        unit: 'ms',
        figures,
        floor: { what: 'bare start', figures: floorFigures },
        targets: [timesFloorAtMost(figures, floorFigures, 1.6), p99AtMost(figures, 200)],
      },
      { what: '  the same connect when it is awake', unit: 'ms', figures: summarize(awake), targets: [] },
    ]
  },
}
