// Schemas of databases, and their differences.

import type { GetProjectBranchSchemaComparisonParams, GetProjectBranchSchemaParams } from '@neondatabase/api-client'
import type { Schema } from '../control/params.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'

type SchemaQuery = Omit<GetProjectBranchSchemaParams, 'projectId' | 'branchId'>
type ComparisonQuery = Omit<GetProjectBranchSchemaComparisonParams, 'projectId' | 'branchId'>

export const schemas = {
  async getProjectBranchSchema({ control, caller, params, query }: ApiRequest<SchemaQuery>) {
    const { db_name: databaseName, lsn, timestamp, format } = query
    const input = { databaseName, lsn, timestamp, format }
    return ok(schemaView(await control.schemas.get(caller, params.project_id, params.branch_id, input)))
  },

  async getProjectBranchSchemaComparison({ control, caller, params, query }: ApiRequest<ComparisonQuery>) {
    const diff = await control.schemas.compare(caller, params.project_id, params.branch_id, {
      databaseName: query.db_name,
      lsn: query.lsn,
      timestamp: query.timestamp,
      baseBranchId: query.base_branch_id,
      base: { lsn: query.base_lsn, timestamp: query.base_timestamp },
    })
    return ok({ diff })
  },
} satisfies Handlers

function schemaView(schema: Schema) {
  if (schema.kind === 'sql') return { sql: schema.sql }
  const tables = schema.tables.map(({ constraints, ...table }) => ({
    ...table,
    constraints: constraints.map(({ referenced, ...constraint }) => ({
      ...constraint,
      ...(referenced === null ? {} : { referenced_table: referenced }),
    })),
  }))
  return { json: { tables } }
}
