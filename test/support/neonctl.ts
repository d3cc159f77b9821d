// The pinned neonctl as a program, in a folder of its own, pointed at a test server.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../src/lib/run.ts'
import { packageRoot, type TestServer } from './server.ts'

const program = join(packageRoot, 'node_modules', '.bin', 'neonctl')
const timeoutMs = 60_000

export type Neonctl = AsyncDisposable & {
  /** Where it runs, and keeps its context file `.neon`. */
  folder: string
  /**
   * What it prints for people. The command is written as one types it: blanks separate its words. Throws when it ends with
   * anything but 0; its own words are the cause.
   */
  text(command: string): Promise<string>
  /** The same with `--output json`, parsed. */
  json<Output>(command: string): Promise<Output>
}

export async function makeNeonctl(server: TestServer): Promise<Neonctl> {
  const folder = await mkdtemp(join(tmpdir(), 'pgrove-neonctl-'))
  const globals = ['--api-host', server.apiUrl, '--api-key', server.apiKey, '--config-dir', folder, '--no-analytics']
  const text = async (command: string): Promise<string> => {
    const args = command.split(' ').filter(Boolean)
    // `CI` keeps it from asking questions.
    const compiled = process.env['NODE_COMPILE_CACHE']
    const env = {
      CI: '1',
      NO_COLOR: '1',
      HOME: folder,
      ...(compiled !== undefined && { NODE_COMPILE_CACHE: compiled }),
    }
    const { stdout } = await run(process.execPath, [program, ...args, ...globals], { cwd: folder, env, timeoutMs })
    return stdout
  }
  return {
    folder,
    text,
    json: async <Output>(command: string) => JSON.parse(await text(`${command} --output json`)) as Output,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
