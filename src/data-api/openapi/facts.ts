// What a description says that only the database knows, and only when it is asked: comments, what the role may use, and the finer points of columns.

import type { ArgumentsRow } from '../schema-cache/functions.ts'

export type DescriptionFacts = {
  /** Of the schema. */
  comment: string | null
  relations: readonly RelationFacts[]
  functions: readonly FunctionFacts[]
}

export type RelationFacts = {
  name: string
  comment: string | null
  /** As far as privileges go; what a view can do at all is known to the schema cache. */
  mayRead: boolean
  mayInsert: boolean
  mayUpdate: boolean
  mayDelete: boolean
  columns: readonly ColumnFacts[]
}

export type ColumnFacts = {
  name: string
  comment: string | null
  /** Without its length; of a domain what it is made of; with its schema, where that is not the system's. */
  type: string
  isNotNull: boolean
  maxLength: number | null
  enum: readonly string[] | null
  mayRead: boolean
}

export type FunctionFacts = ArgumentsRow & { name: string; comment: string | null; isVolatile: boolean }
