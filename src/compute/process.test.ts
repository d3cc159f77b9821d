import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { killProcessesBelow, poll, processesBelow, sendSignal } from './process.ts'
import { AppError } from '../model/errors.ts'

test('whoever has ended needs no signal', () => {
  const { pid } = spawnSync('true')
  sendSignal(pid, 'SIGQUIT')
})

test('a process that takes others with it is ended with them', { skip: process.platform !== 'linux' }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pgrove-process-'))
  try {
    for (let round = 0; round < 5; round++) {
      // Killed together: by the time that the last of them is told to, it has often ended.
      const family = `trap 'kill -9 0' QUIT; for i in $(seq 40); do sleep 60 & done; wait`
      const child = spawn('setsid', ['sh', '-c', family], { cwd: folder, stdio: 'ignore' })
      const ended = once(child, 'exit')
      await poll(async () => ((await processesBelow(folder)).length > 40 ? true : undefined), {
        everyMs: 10,
        timeoutMs: 20_000,
        timedOut: () => new AppError('internal', 'the family is not there'),
      })
      await killProcessesBelow(folder)
      await ended
      assert.deepEqual(await processesBelow(folder), [])
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
