// Removes a folder by `rm -rf`: it holds on to folders by descriptor, so nothing that is moved or linked under it meanwhile leads
// it elsewhere, and 1,300 unlinks stay off the event loop.

import { lstat } from 'node:fs/promises'
import { run } from '../lib/run.ts'

const removeTimeoutMs = 30 * 60_000

export async function removeFolder(folder: string): Promise<void> {
  // Each clone begins with this, mostly for nothing: looking is cheaper than starting a program.
  const found = await lstat(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (found) await run('rm', ['-rf', '--', folder], { timeoutMs: removeTimeoutMs })
}
