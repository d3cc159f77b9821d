// The file system as computes see it: nothing that they can write can be executed, which is also what loading a library does.
//
// A role that may replicate can name any file of the machine as an output plugin, and Postgres loads it. One view for all computes, since
// it is the same for each; what is mounted later is not in it, so a pool, which has these options of its own, needs none.

import { Namespace } from './namespace.ts'

/** Each becomes a mount of its own, with options that only this view has. */
const script =
  'for folder; do mount --bind "$folder" "$folder" && mount -o remount,bind,noexec,nosuid,nodev "$folder" || exit 1; done'

/** Folders that exist. Throws `command_failed` where root may not mount. */
export async function makeFileView(folders: readonly string[]): Promise<Namespace> {
  return await Namespace.make('mount', { script, args: folders })
}
