// examples/upgrade.ts as a reader runs it.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { run } from '../../src/lib/run.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, packageRoot, startServer, type TestServer } from '../support/server.ts'

const script = join(packageRoot, 'examples', 'upgrade.ts')
const timeoutMs = 120_000

let server: TestServer
before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

test('a tenant uses up its quota, is told, is upgraded and goes on over the same connection', async () => {
  const projects = async (): Promise<string[]> =>
    (await apiClient(server).listProjects({})).data.projects.map(({ id }) => id)
  const before = await projects()
  const env = { PGROVE_API_URL: server.apiUrl, NEON_API_KEY: server.apiKey }
  const { stdout } = await run(process.execPath, [script], { env, timeoutMs })
  const told = stdout.split('\n')
  assert.match(told[0] ?? '', /^project +\S+ in "sponsored" may write 24 MiB a month$/)
  assert.match(told[1] ?? '', /^app +is told: .*written data quota \(written_data_bytes\).*PATCH/)
  const heard = told.filter((line) => line.startsWith('platform'))
  assert.ok(heard.length >= 1)
  assert.match(heard.at(-1) ?? '', /hears quota\.exceeded: .*written_data_bytes/)
  assert.deepEqual(
    told.slice(2 + heard.length).map((line) => line.replaceAll(/\d+/g, 'N')),
    [
      'upgrade    the project is in "paid" now, with no quota on what it writes',
      'app        writes again on the connection that it opened at the beginning, and has all of its N notes',
      'consumed   N MiB written this month',
      'done',
      '',
    ],
  )
  // Eight thousand notes of a hundred bytes of log each, at the least.
  const written = Number(/^consumed +(\d+) MiB/m.exec(stdout)?.[1])
  assert.ok(written > 24 && written < 100, stdout)
  assert.deepEqual(await projects(), before)
})
