// A connection to a running compute and its first row: by password, through each path in turn.

import { timed } from '../connect.ts'
import { connectedTo } from '../compute.ts'
import type { Address } from '../../test/support/wire-session.ts'
import { openDataPaths, withoutPgBouncer, type PathName } from '../data-paths.ts'
import type { Row } from '../row.ts'
import { summarize, type Summary } from '../stats.ts'

const warmUps = 3
/** Of one path in turn: the next one is not measured on what the last has left behind. */
const perTurn = 5

export const connectLatency: Row = {
  name: 'connect',
  slow: false,
  about: 'connect to a running compute → first row: direct, proxy, pooled, PgBouncer (--samples × 5 each)',
  async run({ samples }, say) {
    await using ways = await openDataPaths()
    const measured = new Map<PathName, number[]>(ways.paths.map(({ name }) => [name, []]))
    for (const { address } of ways.paths) for (let i = 0; i < warmUps; i++) await firstRowAt(address)
    for (let turn = 1; turn <= samples; turn++) {
      say(`${turn} of ${samples}`)
      for (const { name, address } of ways.paths)
        for (let i = 0; i < perTurn; i++) measured.get(name)?.push(await timed(() => firstRowAt(address)))
    }
    const summaryOf = (name: PathName): Summary => summarize(measured.get(name) ?? [])
    return ways.paths.map(({ name, rival }) => ({
      what: `connect, ${name}`,
      unit: 'ms',
      figures: summaryOf(name),
      floor: rival && { what: rival, figures: summaryOf(rival) },
      targets: [],
      note: name === 'direct' && !ways.pgBouncer ? withoutPgBouncer : undefined,
    }))
  },
}

async function firstRowAt(address: Address): Promise<void> {
  const client = await connectedTo(address)
  try {
    await client.query('select 1')
  } finally {
    // Nobody waits for the goodbye.
    void client.end().catch(() => {})
  }
}
