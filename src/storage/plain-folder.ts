// An ordinary empty folder that belongs to `owner`.

import { chown, mkdir } from 'node:fs/promises'
import type { Owner } from '../model/compute.ts'

export async function createPlainFolder(folder: string, owner: Owner | undefined): Promise<void> {
  await mkdir(folder, { mode: 0o700 })
  if (owner) await chown(folder, owner.uid, owner.gid)
}
