// One call of one operation: checked, handled, answered, with what went out compared with the contract where a test asks for it.

import type { Control } from '../control/control.ts'
import type { Logger } from '../lib/logger.ts'
import type { Caller } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import { resourcesIn, type Resources } from './audit.ts'
import { assertCleanText } from './clean-text.ts'
import type { ContractOperation } from './contract/operations.ts'
import type { Validator } from './contract/validator.ts'
import { creationSourceOf } from './creation-source.ts'
import type { Answer, CheckedApiRequest, PathParams } from './handler.ts'
import { assertBodysProject } from './gate.ts'
import { handlers } from './handlers.ts'
import { answerOnce, fingerprintOf, parseIdempotencyKey, type WireAnswer } from './idempotency.ts'

export type OperationContext = {
  control: Control
  validator: Validator
  log: Logger
  /** Compares every answer with the contract: for tests. */
  checkResponses: boolean
}

export type OperationCall = {
  operation: ContractOperation
  caller: Caller
  params: Record<string, string>
  /** As it was sent, with the query. */
  url: string
  body: unknown
  userAgent: string | undefined
  idempotencyKey: string | string[] | undefined
}

/** `made`: what the answer shows by its id; undefined where nothing was done anew. */
export type CalledAnswer = WireAnswer & { replayed: boolean; made: Resources | undefined }

type AnyHandler = (request: CheckedApiRequest<never, never>) => Promise<Answer<unknown>>

export function isImplemented(operation: ContractOperation): boolean {
  return Object.hasOwn(handlers, operation.id)
}

/** Neon's tools look for the words "not available": with them, a feature is missing; without, they take a 501 for an outage. */
export function notImplemented(operation: ContractOperation): AppError {
  return new AppError(
    'not_implemented',
    `${operation.id} (${operation.method} ${operation.path}) is not available in this version of pgrove`,
  )
}

export async function callOperation(context: OperationContext, call: OperationCall): Promise<CalledAnswer> {
  const { operation, caller } = call
  const checked = context.validator.checkRequest(operation, {
    params: call.params,
    query: cleanQuery(call.url),
    body: call.body,
  })
  await assertBodysProject(context.control, caller, call, checked.body)
  let made: Resources | undefined
  const answer = async (): Promise<WireAnswer> => {
    const answered = await handlerOf(operation)({
      control: context.control,
      caller,
      params: checked.params as PathParams,
      query: checked.query as never,
      body: checked.body as never,
      creationSource: creationSourceOf(call.userAgent),
    })
    const body = answered.status === 204 || answered.body === undefined ? '' : JSON.stringify(answered.body)
    if (answered.status !== 204 && operation.method !== 'GET') made = resourcesIn(answered.body)
    if (context.checkResponses) assertKeepsContract(context.validator, operation, answered.status, body)
    return { status: answered.status, body }
  }
  const key = operation.method === 'POST' ? parseIdempotencyKey(call.idempotencyKey) : undefined
  if (key === undefined) return { ...(await answer()), replayed: false, made }
  const fingerprint = fingerprintOf(operation.method, call.url, call.body)
  const once = await answerOnce({ control: context.control, caller, key, fingerprint, log: context.log }, answer)
  return { ...once, made }
}

/** Each handler has a type of its own; what it is given has been checked against the schemas that its types were made from. */
function handlerOf(operation: ContractOperation): AnyHandler {
  const handler = isImplemented(operation)
    ? (handlers as Readonly<Record<string, AnyHandler>>)[operation.id]
    : undefined
  if (!handler) throw notImplemented(operation)
  return handler
}

function cleanQuery(url: string): URLSearchParams {
  const start = url.indexOf('?')
  const query = new URLSearchParams(start === -1 ? '' : url.slice(start + 1))
  for (const [name, value] of query) assertCleanText(value, `query: ${name.slice(0, 100)}`)
  return query
}

function assertKeepsContract(validator: Validator, operation: ContractOperation, status: number, body: string): void {
  const errors = validator.responseErrors(operation.id, status, body === '' ? undefined : JSON.parse(body))
  if (errors.length > 0) throw new ContractBroken(operation.id, status, errors)
}

/** A defect of ours that a test has found: its text is for the test to read. */
export class ContractBroken extends AppError {
  constructor(operationId: string, status: number, errors: readonly string[]) {
    super('internal', `answer ${status} of ${operationId} does not keep the contract: ${errors.join('; ')}`)
    this.name = 'ContractBroken'
  }
}
