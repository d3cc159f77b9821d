// psql as a program: unaligned, tuples only, the machine's own settings left out.

import { run } from '../../src/lib/run.ts'

const timeoutMs = 60_000
export const psqlArgs = ['--no-psqlrc', '--no-password', '-At', '-v', 'ON_ERROR_STOP=1']

/** What it prints. Throws when it ends with anything but 0; what it complains of is the cause. */
export async function psql(
  uri: string,
  args: readonly string[],
  env: Record<string, string> = {},
  input = '',
): Promise<string> {
  const { stdout } = await run('psql', [...psqlArgs, ...args, uri], {
    env: { PGCONNECT_TIMEOUT: '30', ...env },
    input,
    timeoutMs,
  })
  return stdout
}
