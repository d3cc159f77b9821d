import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObservedRole } from '../compute/roles.ts'
import type { Database } from '../model/database.ts'
import type { BranchId } from '../model/ids.ts'
import type { Role } from '../model/role.ts'
import { diffCatalog } from './catalog.ts'

const at = new Date(0)
const branchId = 'br-a-b-c' as BranchId
const role = (name: string, verifier: string | undefined): Role => ({
  branchId,
  name,
  authenticationMethod: verifier === undefined ? 'no_login' : 'password',
  protected: false,
  verifier,
  encryptedPassword: undefined,
  createdAt: at,
  updatedAt: at,
})
const observed = (name: string, verifier: string | undefined): ObservedRole => ({
  name,
  login: verifier !== undefined,
  verifier,
  createDatabase: true,
  createRole: true,
  replication: true,
  bypassRls: true,
  tenant: true,
})
const database = (id: number, name: string, ownerName: string): Database => ({
  id,
  branchId,
  name,
  ownerName,
  createdAt: at,
  updatedAt: at,
})

test('rows that match Postgres have nothing to learn', () => {
  const rows = { roles: [role('a', 'x')], databases: [database(1, 'd', 'a')] }
  assert.deepEqual(diffCatalog(rows, { roles: [observed('a', 'x')], databases: [{ name: 'd', owner: 'a' }] }), [])
})

test('what SQL made, changed and dropped is learned', () => {
  const rows = {
    roles: [role('a', 'x'), role('gone', 'x')],
    databases: [database(1, 'd', 'a'), database(2, 'old', 'a')],
  }
  const now = {
    roles: [observed('a', 'y'), observed('new', undefined)],
    databases: [
      { name: 'd', owner: 'new' },
      { name: 'e', owner: 'a' },
    ],
  }
  assert.deepEqual(
    diffCatalog(rows, now).map((change) => change.kind),
    ['role_changed', 'role_appeared', 'role_vanished', 'database_changed', 'database_appeared', 'database_vanished'],
  )
})

test('a role that lost its login is a change without a new password', () => {
  const [change] = diffCatalog(
    { roles: [role('a', 'x')], databases: [] },
    { roles: [{ ...observed('a', 'x'), login: false }], databases: [] },
  )
  assert.deepEqual(change, {
    kind: 'role_changed',
    role: { ...observed('a', 'x'), login: false },
    passwordChanged: false,
  })
})
