import type pg from 'pg'
import { AppError } from '../model/errors.ts'

export async function keepSchemaOnly(_connect: (database: string) => Promise<pg.Client>): Promise<void> {
  throw new AppError('not_implemented', 'schema-only branches are not available in this version of pgrove')
}
