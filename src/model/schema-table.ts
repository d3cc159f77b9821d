export type SchemaConstraint = {
  type: 'primary_key' | 'unique' | 'foreign_key'
  name: string
  columns: string[]
  referenced: { schema: string; table: string; columns: string[] } | null
}

export type SchemaTable = {
  schema: string
  name: string
  columns: { name: string; type: string; nullable: boolean; generated: boolean }[]
  constraints: SchemaConstraint[]
}
