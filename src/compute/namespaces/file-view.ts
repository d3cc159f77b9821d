// The file system as computes see it: nothing that they can write can be executed, which is also what loading a library does.
//
// A role that may replicate can name any file of the machine as an output plugin, and Postgres loads it. One view for all computes, since
// it is the same for each; what is mounted later is not in it, so a pool, which has these options of its own, needs none.

import { Namespace } from './namespace.ts'

/**
 * Each folder becomes a mount of its own, with options that only this view has. Loop devices that hold none of them are let go of: whoever
 * unmounts his (another pgrove its pool) would otherwise find it in use for as long as a compute runs. proc(5): names are escaped in octal.
 */
const script = `
mounts=$(cat /proc/self/mounts)
while read -r source place _; do
  place=$(printf %b "$place") kept=
  for folder; do case "$folder/" in "$place"/*) kept=1 ;; esac; done
  case "$source$kept" in /dev/loop*1) ;; /dev/loop*) umount -l "$place" ;; esac
done <<END
$mounts
END
for folder; do
  mount --bind "$folder" "$folder" && mount -o remount,bind,noexec,nosuid,nodev "$folder" || exit 1
done
true`

/** Folders that exist. Throws `command_failed` where root may not mount. */
export async function makeFileView(folders: readonly string[]): Promise<Namespace> {
  return await Namespace.make('mount', { script, args: folders })
}
