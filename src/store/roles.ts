import type { BranchId } from '../model/ids.ts'
import type { AuthenticationMethod, Role } from '../model/role.ts'
import type { Row, Sql } from './database.ts'

const toRole = (row: Row): Role => ({
  branchId: row['branch_id'] as BranchId,
  name: row['name'] as string,
  authenticationMethod: row['authentication_method'] as AuthenticationMethod,
  protected: row['protected'] as boolean,
  verifier: (row['verifier'] as string | null) ?? undefined,
  encryptedPassword: (row['encrypted_password'] as Buffer | null) ?? undefined,
  createdAt: row['created_at'] as Date,
  updatedAt: row['updated_at'] as Date,
})

export type NewRole = Omit<Role, 'createdAt' | 'updatedAt'>

export async function insertRole(sql: Sql, role: NewRole): Promise<Role> {
  const [row] = await sql.query(
    `insert into roles (branch_id, name, authentication_method, protected, verifier, encrypted_password) values ($1, $2, $3, $4, $5, $6) returning *`,
    [
      role.branchId,
      role.name,
      role.authenticationMethod,
      role.protected,
      role.verifier ?? null,
      role.encryptedPassword ?? null,
    ],
  )
  return toRole(row ?? {})
}

export async function getRole(sql: Sql, branchId: string, name: string): Promise<Role | undefined> {
  const [row] = await sql.query('select * from roles where branch_id = $1 and name = $2 and not deleting', [
    branchId,
    name,
  ])
  return row && toRole(row)
}

export async function listRoles(sql: Sql, branchId: string): Promise<Role[]> {
  return (
    await sql.query('select * from roles where branch_id = $1 and not deleting order by created_at, name', [branchId])
  ).map(toRole)
}

export async function setRolePassword(
  sql: Sql,
  branchId: BranchId,
  name: string,
  secret: { verifier: string | undefined; encryptedPassword: Uint8Array | undefined },
): Promise<Role> {
  const [row] = await sql.query(
    'update roles set verifier = $3, encrypted_password = $4, updated_at = now() where branch_id = $1 and name = $2 returning *',
    [branchId, name, secret.verifier ?? null, secret.encryptedPassword ?? null],
  )
  return toRole(row ?? {})
}

export async function setRoleLogin(sql: Sql, branchId: BranchId, name: string, login: boolean): Promise<void> {
  await sql.query(
    'update roles set authentication_method = $3, updated_at = now() where branch_id = $1 and name = $2',
    [branchId, name, login ? 'password' : 'no_login'],
  )
}

/** A role that is on its way out is not listed any more; the mark is taken back when its removal fails. */
export async function markRoleDeleting(sql: Sql, branchId: BranchId, name: string, deleting: boolean): Promise<void> {
  await sql.query('update roles set deleting = $3 where branch_id = $1 and name = $2', [branchId, name, deleting])
}

export async function deleteRole(sql: Sql, branchId: BranchId, name: string): Promise<void> {
  await sql.query('delete from roles where branch_id = $1 and name = $2', [branchId, name])
}

/** What a new branch begins with. `encrypt` seals anew, since a sealed password belongs to one branch. */
export async function copyRoles(
  sql: Sql,
  from: BranchId,
  to: BranchId,
  reseal: (role: Role) => Uint8Array | undefined,
): Promise<Role[]> {
  const copies: Role[] = []
  for (const role of await listRoles(sql, from)) {
    copies.push(await insertRole(sql, { ...role, branchId: to, encryptedPassword: reseal(role) }))
  }
  return copies
}
