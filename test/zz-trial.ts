import { setTimeout as delay } from 'node:timers/promises'
import { startServer } from './support/server.ts'
import { makeProject } from './support/neon.ts'
import { query } from './support/postgres.ts'
await using server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_LOG_LEVEL: 'debug' } })
const ps = await Promise.all(Array.from({ length: 4 }, () => makeProject(server, { default_endpoint_settings: { suspend_timeout_seconds: 1 } })))
const counts: Record<string, number> = {}
const end = Date.now() + 40_000
const bad: [string, number, number][] = []
await Promise.all(ps.map(async (p) => {
  while (Date.now() < end) {
    const t = Date.now()
    const r = await query(p.uri, 'select 1').then(() => 'ok', (e) => `${e.code} ${e.message}`)
    if (r !== 'ok') bad.push([p.endpointId, t, Date.now()])
    counts[r] = (counts[r] ?? 0) + 1
    await delay(950 + Math.random() * 600)
  }
}))
console.log(counts)
const log = (await server.log()).split('\n').filter(Boolean).map((l) => JSON.parse(l))
for (const [ep, t0, t1] of bad) {
  console.log('---', ep, new Date(t0).toISOString(), new Date(t1).toISOString())
  for (const l of log) { const t = Date.parse(l.time); if (t > t0 - 1800 && t < t1 + 500 && JSON.stringify(l).includes(ep)) console.log(l.time, l.process, l.msg, l.cause ?? '', l.ms ?? '') }
}
