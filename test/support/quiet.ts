import assert from 'node:assert/strict'
import type { TestServer } from './server.ts'

/** Fails where the log has something that a person would have to look at, and that the test did not provoke. */
export async function assertQuiet(server: TestServer): Promise<void> {
  const lines = (await server.log()).split('\n').filter((line) => line !== '')
  const loud = lines.filter((line) => {
    const { level } = JSON.parse(line) as { level: string }
    return level !== 'debug' && level !== 'info'
  })
  assert.deepEqual(loud, [])
}
