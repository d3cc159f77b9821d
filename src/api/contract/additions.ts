// What requests may hold beyond upstream's contract: fields of our own, and those that Neon's other clients send. They are schemas
// too, so that they are checked like the rest before a handler sees them.

import { schemasId, type Contract, type ContractOperation, type JsonSchema } from './operations.ts'
import { ownOperations } from './own-operations.ts'

export type SnapshotCreateBody = {
  name?: string | null
  lsn?: string | null
  timestamp?: string | null
  expires_at?: string | null
  metadata?: Record<string, unknown> | null
}

export type SnapshotUpdateBody = {
  snapshot: { name?: string; expires_at?: string | null; metadata?: Record<string, unknown> }
}

const object = (properties: Record<string, JsonSchema>): JsonSchema => ({ type: 'object', properties })
const textOrNull: JsonSchema = { type: ['string', 'null'] }

/** The query's fields: Neon's demo sends them as a body. */
const snapshotCreateBody = object({
  name: textOrNull,
  lsn: textOrNull,
  timestamp: textOrNull,
  expires_at: textOrNull,
  metadata: { type: ['object', 'null'] },
})

const snapshotUpdateBody = object({ snapshot: object({ expires_at: textOrNull, metadata: { type: 'object' } }) })

/** In the contract's words, though not in its schema. */
const frequency = { enum: ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] }
const scheduleBody = object({ schedule: { items: object({ frequency }) } })

const bodies: Readonly<Record<string, JsonSchema>> = {
  createSnapshot: snapshotCreateBody,
  updateSnapshot: snapshotUpdateBody,
  setSnapshotSchedule: scheduleBody,
}

const definition = (name: string): JsonSchema => ({ $ref: `${schemasId}#/definitions/${name}` })

/** Neon's guides call a server of one's own `custom`. */
const emailServerBody: JsonSchema = {
  type: 'object',
  required: ['type'],
  properties: { type: { enum: ['standard', 'custom', 'shared'] } },
  if: { properties: { type: { const: 'shared' } } },
  // oxlint-disable-next-line unicorn/no-thenable -- JSON Schema's word
  then: definition('SharedEmailServer'),
  else: definition('StandardEmailServer'),
}

const replacements: Readonly<Record<string, JsonSchema>> = {
  updateNeonAuthEmailServer: emailServerBody,
  updateNeonAuthEmailProvider: emailServerBody,
}

export function withAdditions(contract: Contract): Contract {
  return { ...contract, operations: [...contract.operations.map(withOurBody), ...ownOperations] }
}

function withOurBody(operation: ContractOperation): ContractOperation {
  const replacement = replacements[operation.id]
  if (replacement) return { ...operation, body: { required: true, schema: replacement } }
  const added = bodies[operation.id]
  if (!added) return operation
  const { body } = operation
  return {
    ...operation,
    body: body ? { ...body, schema: { allOf: [body.schema, added] } } : { required: false, schema: added },
  }
}
