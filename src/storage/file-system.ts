// What kind of file system a folder is on, and how full.

import { statfs } from 'node:fs/promises'

export type FileSystemKind = 'xfs' | 'btrfs' | 'other'

// linux: include/uapi/linux/magic.h
const xfsMagic = 0x58465342
const btrfsMagic = 0x9123683e

export async function fileSystemKind(folder: string): Promise<FileSystemKind> {
  if (process.platform !== 'linux') return 'other'
  const { type } = await statfs(folder)
  if (type === xfsMagic) return 'xfs'
  return type === btrfsMagic ? 'btrfs' : 'other'
}

/** Bytes that an ordinary user could still write. */
export async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}
