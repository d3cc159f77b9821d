// What a storage driver is: the few things that differ from file system to file system.
//
// A driver makes, copies and removes folders. It knows nothing of branches, of Postgres or of what is worth keeping: metadata is
// in the control database, and what a copy must leave out or add is its caller's business.

import type { Owner } from '../model/compute.ts'

export type DriverName = 'btrfs' | 'zfs' | 'reflink' | 'copy'

export type FolderUsage = {
  /** Bytes that files in the folder have allocated, shared ones counted in full. */
  logicalBytes: number
  /** Bytes that only this folder holds, as far as the file system can tell; equal to `logicalBytes` where it cannot. */
  ownBytes: number
}

export type CloneOptions = {
  /** Who owns the files of the copy; undefined keeps the owner. */
  owner: Owner | undefined
  /** Paths relative to the source that are not copied; a trailing slash keeps the folder and leaves its contents out. */
  exclude: readonly string[]
  /** Called with the folder of the copy while it is empty. A driver whose copies are never empty calls nobody. */
  made?: ((folder: string) => Promise<void>) | undefined
}

export interface StorageDriver {
  readonly name: DriverName
  /** A copy shares its blocks with the source until one of them writes. */
  readonly copyOnWrite: boolean
  /** A copy shows one moment of the source even while the source is written to. */
  readonly atomic: boolean
  /** Makes an empty folder that can later be cloned cheaply. Fails if something is there. */
  create(folder: string, owner: Owner | undefined): Promise<void>
  /** Copies `from` to `to`, which must not exist. What is left of a clone that failed halfway can be given to `remove`. */
  clone(from: string, to: string, options: CloneOptions): Promise<void>
  /** Removes a folder and all in it; a folder that is not there is removed already. */
  remove(folder: string): Promise<void>
  usage(folder: string): Promise<FolderUsage>
  /** Makes everything in the folder durable. */
  sync(folder: string): Promise<void>
}
