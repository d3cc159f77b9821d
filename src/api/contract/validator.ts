// Checks requests, and in tests answers, against the contract. An operation's schemas are compiled when it is first called:
// all of them at once would cost more than a second and memory for operations nobody uses.

import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'
import { AppError } from '../../model/errors.ts'
import { coerceQuery, coercePath } from './coercion.ts'
import { isTimestamp, numberFormats } from './formats.ts'
import {
  schemasId,
  type Contract,
  type ContractOperation,
  type ContractParameter,
  type JsonSchema,
} from './operations.ts'

export type RawRequest = { params: Readonly<Record<string, string>>; query: URLSearchParams; body: unknown }

/** Parameters have the types that the contract gives them; defaults of the query are filled in, those of the body are not. */
export type CheckedRequest = { params: Record<string, unknown>; query: Record<string, unknown>; body: unknown }

export type Validator = {
  /** Throws `bad_request`, naming the first field that is wrong. Fields that the contract does not know are left alone. */
  checkRequest(operation: ContractOperation, raw: RawRequest): CheckedRequest
  /** What is wrong with an answer; empty where nothing is. */
  responseErrors(operationId: string, status: number, body: unknown): string[]
}

type Checks = { path: ValidateFunction; query: ValidateFunction; body: ValidateFunction | undefined }

export function createValidator(contract: Contract): Validator {
  const operations = new Map(contract.operations.map((operation) => [operation.id, operation]))
  const requestChecks = new Map<string, Checks>()
  const responseChecks = new Map<string, ValidateFunction>()
  const requests = createAjv(contract, { allErrors: false })
  let responses: Ajv | undefined

  const compile = (operation: ContractOperation): Checks => ({
    path: requests.compile(parametersSchema(operation, 'path')),
    query: requests.compile(parametersSchema(operation, 'query')),
    body: operation.body && requests.compile(operation.body.schema),
  })

  return {
    checkRequest(operation, raw) {
      const checks = remember(requestChecks, operation.id, () => compile(operation))
      const params = coercePath(operation, raw.params)
      const query = coerceQuery(operation, raw.query, contract.schemas)
      if (!checks.path(params)) throw refusal('decode params: path', checks.path.errors)
      if (!checks.query(query)) throw refusal('decode params: query', checks.query.errors)
      return { params, query, body: checkBody(operation, checks.body, raw.body) }
    },

    responseErrors(operationId, status, body) {
      const operation = operations.get(operationId)
      if (!operation) return [`the contract has no operation ${operationId}`]
      const key = responseKey(operation, status)
      if (key === undefined) return [`status ${status} is not declared`]
      const schema = operation.responses[key] ?? null
      if (schema === null) return body === undefined ? [] : ['the answer has a body where none is declared']
      const check = remember(responseChecks, `${operationId} ${key}`, () =>
        (responses ??= createAjv(contract, { allErrors: true })).compile(schema),
      )
      return check(body) ? [] : (check.errors ?? []).map(sayError)
    },
  }
}

function createAjv(contract: Contract, options: { allErrors: boolean }): Ajv {
  // `strict` would refuse what OpenAPI adds; `validateSchema` would compile JSON Schema's own schema to look at upstream's.
  const ajv = new Ajv({ strict: false, validateSchema: false, meta: false, allErrors: options.allErrors })
  addFormats.default(ajv, ['uuid', 'email', 'uri', 'binary'])
  ajv.addFormat('date-time', isTimestamp)
  for (const [name, validate] of Object.entries(numberFormats)) ajv.addFormat(name, { type: 'number', validate })
  ajv.addSchema({ $id: schemasId, definitions: contract.schemas })
  return ajv
}

function checkBody(operation: ContractOperation, check: ValidateFunction | undefined, body: unknown): unknown {
  if (!operation.body || !check) return body
  if (body === undefined) {
    if (operation.body.required)
      throw new AppError('bad_request', 'invalid request: decode application/json: the request body is empty')
    // An optional body that is not there says no more than an empty one, and spares every handler the question.
    return {}
  }
  if (!check(body)) throw refusal('decode application/json', check.errors)
  return body
}

function parametersSchema(operation: ContractOperation, place: ContractParameter['in']): JsonSchema {
  const parameters = operation.parameters.filter((parameter) => parameter.in === place)
  return {
    type: 'object',
    required: parameters.filter((parameter) => parameter.required).map((parameter) => parameter.name),
    properties: Object.fromEntries(parameters.map((parameter) => [parameter.name, parameter.schema])),
  }
}

function responseKey(operation: ContractOperation, status: number): string | undefined {
  if (String(status) in operation.responses) return String(status)
  return status >= 400 && 'default' in operation.responses ? 'default' : undefined
}

/** In the words of Neon's own server: `invalid request: decode application/json: invalid: project (field required)`. */
function refusal(stage: string, errors: ErrorObject[] | null | undefined): AppError {
  const [first] = errors ?? []
  return new AppError('bad_request', `invalid request: ${stage}: invalid: ${first ? sayError(first) : 'unknown'}`)
}

/** Names the field and the rule, never the value: it may be a password. */
function sayError(error: ErrorObject): string {
  const path = error.instancePath.split('/').slice(1).map(unescapePointer)
  const params = error.params as { missingProperty?: string; allowedValues?: unknown[] }
  if (params.missingProperty !== undefined) return `${fieldName([...path, params.missingProperty])} (field required)`
  const allowed = params.allowedValues ? `: ${params.allowedValues.join(', ')}` : ''
  return `${fieldName(path)} (${error.message ?? error.keyword}${allowed})`
}

function fieldName(path: readonly string[]): string {
  return path.length === 0 ? 'body' : path.join('.').slice(0, 200)
}

function unescapePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~')
}

function remember<Value>(in_: Map<string, Value>, key: string, make: () => Value): Value {
  const known = in_.get(key)
  if (known !== undefined) return known
  const made = make()
  in_.set(key, made)
  return made
}
