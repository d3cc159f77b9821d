import { setRoleVerifier } from '../compute/roles.ts'
import type { Branch } from '../model/branch.ts'
import type { TimelineId } from '../model/ids.ts'
import { listRoles } from '../store/roles.ts'
import { withClient } from './branch-compute.ts'
import type { ControlContext } from './context.ts'

/** Roles that the data has open with the passwords of the branch's rows: a child of a protected branch with its own, a restored one as before. */
export async function applyPasswords(control: ControlContext, branch: Branch, timelineId: TimelineId): Promise<void> {
  await withClient(control, timelineId, async (client) => {
    const { rows } = await client.query<{ name: string }>('select rolname as name from pg_roles')
    const there = new Set(rows.map(({ name }) => name))
    for (const role of await listRoles(control.store, branch.id)) {
      if (role.verifier !== undefined && there.has(role.name)) await setRoleVerifier(client, role.name, role.verifier)
    }
  })
}
