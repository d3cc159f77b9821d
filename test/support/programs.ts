// Programs that npm does not bring, and other things a machine may lack. A test that needs one is skipped with the reason; where
// nothing may be skipped (`PGROVE_TEST_STRICT=1`, as in CI) that is a failure instead.

import { spawnSync } from 'node:child_process'

/** All of ours know `-V`. */
const isInstalled = (program: string): boolean => spawnSync(program, ['-V']).error === undefined

/** Why a test that needs these programs cannot run here, or undefined. */
export function obstacleWithout(...programs: readonly string[]): string | undefined {
  const missing = programs.filter((program) => !isInstalled(program))
  return missing.length === 0 ? undefined : `needs ${missing.join(' and ')}`
}

/** A `skip` for node:test. */
export function skipUnless(obstacle: string | undefined): { skip?: string } {
  if (obstacle === undefined) return {}
  if (process.env['PGROVE_TEST_STRICT'] === '1') throw new Error(`would be skipped: ${obstacle}`)
  process.stderr.write(`SKIPPED: ${obstacle}\n`)
  return { skip: obstacle }
}
