// One operation of the contract as a route: authenticated, checked, handled, answered.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Control } from '../control/control.ts'
import type { Logger } from '../lib/logger.ts'
import type { Caller } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import { assertCleanText } from './clean-text.ts'
import type { ContractOperation } from './contract/operations.ts'
import type { Validator } from './contract/validator.ts'
import { creationSourceOf } from './creation-source.ts'
import type { Answer, CheckedApiRequest, PathParams } from './handler.ts'
import { answerOnce, fingerprintOf, parseIdempotencyKey, type WireAnswer } from './idempotency.ts'

export type OperationHandler = (request: CheckedApiRequest<never, never>) => Promise<Answer<unknown>>

export type RouteContext = {
  control: Control
  validator: Validator
  log: Logger
  /** Compares every answer with the contract: for tests. */
  checkResponses: boolean
}

export function addOperation(
  server: FastifyInstance,
  context: RouteContext,
  operation: ContractOperation,
  handler: OperationHandler | undefined,
): void {
  server.route({
    method: operation.method,
    url: toRoutePath(operation.path),
    config: { operationId: operation.id },
    // Before the body is read: what nobody has written need not receive an upload.
    ...(handler ? {} : { onRequest: () => Promise.reject(notImplemented(operation)) }),
    handler: async (request, reply) => {
      if (!handler) throw notImplemented(operation)
      return await sendAnswer(reply, await answerRequest(context, operation, handler, request))
    },
  })
}

/** `/projects/{project_id}` → `/projects/:project_id` */
export function toRoutePath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1')
}

async function answerRequest(
  context: RouteContext,
  operation: ContractOperation,
  handler: OperationHandler,
  request: FastifyRequest,
): Promise<WireAnswer & { replayed: boolean }> {
  const caller = callerOf(request)
  const checked = context.validator.checkRequest(operation, {
    params: cleanParams(request.params as Record<string, string>),
    query: cleanQuery(request.url),
    body: request.body,
  })
  const answer = async (): Promise<WireAnswer> => {
    const answered = await handler({
      control: context.control,
      caller,
      params: checked.params as PathParams,
      query: checked.query as never,
      body: checked.body as never,
      creationSource: creationSourceOf(request.headers['user-agent']),
    })
    const body = answered.status === 204 ? '' : JSON.stringify(answered.body)
    if (context.checkResponses) assertKeepsContract(context.validator, operation, answered.status, body)
    return { status: answered.status, body }
  }
  const key = operation.method === 'POST' ? parseIdempotencyKey(request.headers['idempotency-key']) : undefined
  if (key === undefined) return { ...(await answer()), replayed: false }
  const fingerprint = fingerprintOf(operation.method, request.url, request.body)
  return await answerOnce({ control: context.control, caller, key, fingerprint, log: context.log }, answer)
}

async function sendAnswer(reply: FastifyReply, answer: WireAnswer & { replayed: boolean }): Promise<FastifyReply> {
  void reply.status(answer.status)
  if (answer.replayed) void reply.header('idempotency-replayed', 'true')
  if (answer.body === '') return await reply.send()
  return await reply.header('content-type', 'application/json').send(answer.body)
}

function callerOf(request: FastifyRequest): Caller {
  if (!request.caller) throw new AppError('internal', 'a request reached its handler without a caller')
  return request.caller
}

function cleanParams(params: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [name, value] of Object.entries(params)) assertCleanText(value, `path: ${name}`)
  return params
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

function notImplemented(operation: ContractOperation): AppError {
  return new AppError('not_implemented', `pgrove does not implement ${operation.id} (${operation.method} ${operation.path}) yet`)
}

/** A defect of ours that a test has found: its text is for the test to read. */
export class ContractBroken extends AppError {
  constructor(operationId: string, status: number, errors: readonly string[]) {
    super('internal', `answer ${status} of ${operationId} does not keep the contract: ${errors.join('; ')}`)
    this.name = 'ContractBroken'
  }
}

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller | undefined
  }
  interface FastifyContextConfig {
    operationId?: string
  }
}
