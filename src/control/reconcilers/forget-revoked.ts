// Keys and permissions that were revoked are remembered for a while, so that it can be asked what they were; then their rows go.

import { deleteKeysRevokedBefore } from '../../store/api-keys.ts'
import { deletePermissionsRevokedBefore } from '../../store/project-permissions.ts'
import type { ControlContext } from '../context.ts'

const keptForMs = 90 * 86_400_000

/** Safe to run at any time, any number of times: what is gone opens as little as what is revoked. */
export async function forgetRevoked({
  store,
}: Pick<ControlContext, 'store'>): Promise<{ keys: number; permissions: number }> {
  const before = new Date(Date.now() - keptForMs)
  return {
    keys: await deleteKeysRevokedBefore(store, before),
    permissions: await deletePermissionsRevokedBefore(store, before),
  }
}
