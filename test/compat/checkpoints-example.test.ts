// examples/checkpoints.ts as a reader runs it.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { run } from '../../src/lib/run.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, packageRoot, startServer, type TestServer } from '../support/server.ts'

const script = join(packageRoot, 'examples', 'checkpoints.ts')
const timeoutMs = 120_000

let server: TestServer
before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

test('the app goes back and forth behind one connection string, and nothing is left', async () => {
  const projects = async (): Promise<string[]> =>
    (await apiClient(server).listProjects({})).data.projects.map(({ id }) => id)
  const before = await projects()
  const env = { PGROVE_API_URL: server.apiUrl, NEON_API_KEY: server.apiKey }
  const { stdout } = await run(process.execPath, [script], { env, timeoutMs })
  const told = stdout.split('\n').filter((line) => !line.includes('the visitor'))
  assert.deepEqual(told.slice(1), [
    'checkpoint v1: 2 todos with id, title',
    'checkpoint v2: 3 todos with id, title, done',
    'checkpoint v3: 2 todos with id, what, done, tags',
    'restore    the app is v1 again: 2 todos with id, title',
    'clean up   deleted the leftover "main (old)"',
    'restore    the app is v3 again: 2 todos with id, what, done, tags',
    'clean up   deleted the leftover "main (old)"',
    'preview    preview-v2 has 3 todos with id, title, done, under a connection string of its own',
    'clean up   deleted preview-v2',
    'done',
    '',
  ])
  const seen = [...stdout.matchAll(/the visitor sees (.*)$/gm)].map(([, app]) => app)
  assert.ok(seen.length >= 3, stdout)
  assert.equal(seen.at(-1), '2 todos with id, what, done, tags')
  const [, reads, connections] = /read the app (\d+) times, in (\d+) connections with one/.exec(stdout) ?? []
  assert.ok(Number(reads) > 0)
  assert.equal(Number(connections), 1, 'a connection outlives both restores')
  assert.deepEqual(await projects(), before)
})

test('what is wrong is said, and is in the exit code', () => {
  const start = (env: Record<string, string>) => {
    const { status, stderr } = spawnSync(process.execPath, [script], { env, encoding: 'utf8', timeout: timeoutMs })
    return { status, stderr }
  }
  const keyless = start({ PGROVE_API_URL: server.apiUrl })
  assert.equal(keyless.status, 2)
  assert.match(keyless.stderr, /NEON_API_KEY/)
  const stranger = start({ PGROVE_API_URL: server.apiUrl, NEON_API_KEY: 'napi_stranger' })
  assert.equal(stranger.status, 1)
  assert.match(stranger.stderr, /^failed: .*API key/m)
  const nowhere = start({ PGROVE_API_URL: 'http://127.0.0.1:1/api/v2', NEON_API_KEY: 'napi_stranger' })
  assert.equal(nowhere.status, 1)
  assert.match(nowhere.stderr, /^failed: .*127\.0\.0\.1:1/m)
})
