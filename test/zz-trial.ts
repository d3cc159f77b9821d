import { request, startServer } from './support/server.ts'
await using server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0', PGROVE_LOG_LEVEL: 'debug' } })
const counts: Record<string, number> = {}
for (let i = 0; i < 6000; i++) {
  const text = ['{', '{"project":', '[1,', 'x', '7'][i % 5]!
  const a = await request(server, 'POST', '/projects', text)
  const k = `${a.status}`
  counts[k] = (counts[k] ?? 0) + 1
  if (a.status === 502) console.log(i, text, a.body)
}
console.log(counts)
console.log((await server.log()).split('\n').filter((l) => /could not be forwarded/.test(l)).slice(0, 5))
