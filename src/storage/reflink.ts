// Copies whose files share their blocks: XFS, btrfs without its command, APFS, whatever clones files.
//
// File by file, so a copy of a folder that is being written to shows no single moment: the caller brackets it with a backup.

import { stat } from 'node:fs/promises'
import type { StorageDriver } from './driver.ts'
import { fileSystemKind } from './file-system.ts'
import { removeFolder } from './folder-removal.ts'
import { markNow, syncFolderTree, type CloneMark } from './folder-sync.ts'
import { usageByExtents } from './folder-usage.ts'
import { createPlainFolder } from './plain-folder.ts'
import { copyTree } from './tree-copy.ts'

export function createReflinkDriver(): StorageDriver {
  // By inode: a folder keeps it when it is renamed into place.
  const marks = new Map<number, CloneMark>()
  return {
    name: 'reflink',
    copyOnWrite: true,
    atomic: false,
    async create(folder, owner) {
      await createPlainFolder(folder, owner)
      marks.delete((await stat(folder)).ino)
    },
    async clone(from, to, options) {
      await copyTree(from, to, 'shared', options)
      marks.set((await stat(to)).ino, await markNow(to, false))
    },
    async remove(folder) {
      const found = await stat(folder).catch(() => undefined)
      await removeFolder(folder)
      if (found) marks.delete(found.ino)
    },
    usage: usageByExtents,
    async sync(folder) {
      const { ino } = await stat(folder)
      await syncFolderTree(folder, await fileSystemKind(folder), marks.get(ino))
    },
  }
}
