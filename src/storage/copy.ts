// Real copies: works everywhere, costs the whole size in time and space.

import type { StorageDriver } from './driver.ts'
import { fileSystemKind } from './file-system.ts'
import { removeFolder } from './folder-removal.ts'
import { syncFolderTree } from './folder-sync.ts'
import { logicalBytes } from './folder-usage.ts'
import { createPlainFolder } from './plain-folder.ts'
import { copyTree } from './tree-copy.ts'

export function createCopyDriver(): StorageDriver {
  return {
    name: 'copy',
    copyOnWrite: false,
    atomic: false,
    create: createPlainFolder,
    clone: (from, to, options) => copyTree(from, to, 'separate', options),
    remove: removeFolder,
    async usage(folder) {
      const bytes = await logicalBytes(folder)
      return { logicalBytes: bytes, ownBytes: bytes }
    },
    async sync(folder) {
      await syncFolderTree(folder, await fileSystemKind(folder), undefined)
    },
  }
}
