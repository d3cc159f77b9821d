import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { skipUnless } from '../../test/support/programs.ts'

const obstacle =
  process.getuid?.() === 0 && existsSync('/proc/self/autogroup')
    ? undefined
    : 'needs root and a kernel that groups processes by session'

test('pgrove comes first in its own session while it runs, and steps back after that', skipUnless(obstacle), () => {
  const script = `
    import { readFileSync } from 'node:fs'
    import { comeFirst } from ${JSON.stringify(join(import.meta.dirname, 'priority.ts'))}
    const nice = () => /nice (-?\\d+)/.exec(readFileSync('/proc/self/autogroup', 'utf8'))[1]
    const seen = [nice()]
    const stepBack = await comeFirst()
    seen.push(nice())
    await (await comeFirst())()
    seen.push(nice())
    await stepBack()
    seen.push(nice())
    console.log(seen.join())`
  // In a session of its own: this one belongs to whoever runs the tests.
  const args = [process.execPath, '--input-type=module', '--eval', script]
  const { stdout } = spawnSync('setsid', ['--wait', ...args], { encoding: 'utf8' })
  assert.equal(stdout.trim(), '0,-10,-10,0')
})
