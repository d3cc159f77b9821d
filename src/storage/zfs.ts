// The place of the ZFS driver (datasets, `zfs snapshot` and `zfs clone`). Choosing it says that it is not there yet.

import { AppError } from '../model/errors.ts'

export function refuseZfs(): never {
  throw new AppError(
    'config_invalid',
    'PGROVE_STORAGE=zfs is not there yet; use auto, which picks the best of btrfs, reflink, pool and copy for this machine',
  )
}
