// A service's Unix socket, before the service gives up root.

import { access, chmod, chown, constants, rename, rm } from 'node:fs/promises'
import type { Server } from 'node:net'
import { fileURLToPath } from 'node:url'
import { AppError } from '../model/errors.ts'

/** Takes the place of whatever is at `path`. `uid`: who may connect, where that is not whoever we are. */
export async function listenAs(server: Server, path: string, uid: number | undefined): Promise<void> {
  // Bound under another name and moved into place once its mode is right: nobody can connect in between.
  const draft = `${path}.new`
  await rm(draft, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ path: draft, backlog: 1024 }, resolve)
  })
  await chmod(draft, 0o600)
  if (uid !== undefined) await chown(draft, uid, -1)
  await rename(draft, path)
}

/** For good. */
export function becomeUnprivileged(owner: { uid: number; gid: number } | undefined): void {
  if (!owner) return
  process.setgroups?.([])
  process.setgid?.(owner.gid)
  process.setuid?.(owner.uid)
}

/** What is only loaded when it is needed has to be there then too. Throws `config_invalid`. */
export async function assertReadable(): Promise<void> {
  const here = fileURLToPath(new URL('..', import.meta.url))
  try {
    await access(fileURLToPath(import.meta.url), constants.R_OK)
  } catch (cause) {
    throw new AppError(
      'config_invalid',
      `pgrove lies in ${here}, where other users cannot read, and as root it answers strangers as a user of its own; install it elsewhere, such as below /opt`,
      { cause },
    )
  }
}
