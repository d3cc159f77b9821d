import type { Database } from '../model/database.ts'
import type { BranchId } from '../model/ids.ts'
import type { Row, Sql } from './database.ts'

const toDatabase = (row: Row): Database => ({
  id: row['id'] as number,
  branchId: row['branch_id'] as BranchId,
  name: row['name'] as string,
  ownerName: row['owner_name'] as string,
  createdAt: row['created_at'] as Date,
  updatedAt: row['updated_at'] as Date,
})

export async function insertDatabase(
  sql: Sql,
  database: { branchId: BranchId; name: string; ownerName: string },
): Promise<Database> {
  const [row] = await sql.query('insert into databases (branch_id, name, owner_name) values ($1, $2, $3) returning *', [
    database.branchId,
    database.name,
    database.ownerName,
  ])
  return toDatabase(row ?? {})
}

export async function getDatabase(sql: Sql, branchId: string, name: string): Promise<Database | undefined> {
  const [row] = await sql.query('select * from databases where branch_id = $1 and name = $2 and not deleting', [
    branchId,
    name,
  ])
  return row && toDatabase(row)
}

export async function listDatabases(sql: Sql, branchId: string): Promise<Database[]> {
  return (await sql.query('select * from databases where branch_id = $1 and not deleting order by id', [branchId])).map(
    toDatabase,
  )
}

export async function updateDatabase(
  sql: Sql,
  id: number,
  change: { name: string; ownerName: string },
): Promise<Database> {
  const [row] = await sql.query(
    'update databases set name = $2, owner_name = $3, updated_at = now() where id = $1 returning *',
    [id, change.name, change.ownerName],
  )
  return toDatabase(row ?? {})
}

/** As for roles: hidden while it is dropped, visible again should that fail. */
export async function markDatabaseDeleting(sql: Sql, id: number, deleting: boolean): Promise<void> {
  await sql.query('update databases set deleting = $2 where id = $1', [id, deleting])
}

export async function deleteDatabase(sql: Sql, id: number): Promise<void> {
  await sql.query('delete from databases where id = $1', [id])
}

export async function copyDatabases(sql: Sql, from: BranchId, to: BranchId): Promise<Database[]> {
  const rows = await sql.query(
    `insert into databases (branch_id, name, owner_name)
     select $2, name, owner_name from databases where branch_id = $1 and not deleting order by id returning *`,
    [from, to],
  )
  return rows.map(toDatabase)
}
