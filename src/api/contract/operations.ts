// The contract as pgrove needs it: upstream's OpenAPI document, reduced to operations and JSON schemas.
//
// Prose and examples are dropped (they are most of the document). OpenAPI 3.0 is not quite JSON Schema, so what differs is rewritten
// here, once: `nullable` becomes a type of its own, references point into the one schema that the validator registers.

export type JsonSchema = { readonly [keyword: string]: unknown }

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export type ContractParameter = { name: string; in: 'path' | 'query'; required: boolean; schema: JsonSchema }

export type ContractOperation = {
  id: string
  method: Method
  /** `/projects/{project_id}`, without the base path. */
  path: string
  deprecated: boolean
  parameters: ContractParameter[]
  /** A JSON body; undefined where there is none or where it is of another type (`multipart/form-data`). */
  body: { required: boolean; schema: JsonSchema } | undefined
  /** By status, or `default`; null where the answer has no JSON body. */
  responses: Record<string, JsonSchema | null>
}

export type Contract = {
  /** Version of the package that the contract comes from. */
  version: string
  operations: ContractOperation[]
  schemas: Record<string, JsonSchema>
}

/** `$id` of the schema that holds all named ones. */
export const schemasId = 'contract'

type Node = { readonly [key: string]: unknown }

const methods: readonly Method[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']
const proseKeywords = new Set([
  'description',
  'title',
  'example',
  'examples',
  'externalDocs',
  'discriminator',
  'deprecated',
])

/** Throws where the document is not what it is expected to be: better no start than half a contract. */
export function toContract(document: unknown, version: string): Contract {
  const root = node(document, 'document')
  const components = node(root['components'], 'components')
  const resolve = (value: unknown): Node => {
    const at = node(value, 'reference or value')
    const reference = at['$ref']
    if (typeof reference !== 'string') return at
    const [, , kind = '', name = ''] = reference.split('/')
    return node(node(components[kind], kind)[name], reference)
  }

  const operations: ContractOperation[] = []
  for (const [path, item] of Object.entries(node(root['paths'], 'paths'))) {
    const shared = list(node(item, path)['parameters'])
    for (const method of methods) {
      const value = node(item, path)[method.toLowerCase()]
      if (value === undefined) continue
      const operation = node(value, `${method} ${path}`)
      operations.push({
        id: text(operation['operationId'], `operationId of ${method} ${path}`),
        method,
        path,
        deprecated: operation['deprecated'] === true,
        parameters: [...shared, ...list(operation['parameters'])].map((parameter) => toParameter(resolve(parameter))),
        body: operation['requestBody'] === undefined ? undefined : toBody(resolve(operation['requestBody'])),
        responses: toResponses(node(operation['responses'], 'responses'), resolve),
      })
    }
  }
  const schemas: Record<string, JsonSchema> = {}
  for (const [name, schema] of Object.entries(node(components['schemas'], 'schemas')))
    schemas[name] = toJsonSchema(schema)
  return { version, operations, schemas }
}

function toParameter(parameter: Node): ContractParameter {
  const place = parameter['in']
  if (place !== 'path' && place !== 'query')
    throw new Error(`parameter in ${String(place)}: only path and query are known`)
  return {
    name: text(parameter['name'], 'parameter name'),
    in: place,
    required: parameter['required'] === true,
    schema: toJsonSchema(parameter['schema']),
  }
}

function toBody(body: Node): ContractOperation['body'] {
  const schema = jsonContent(body)
  return schema === null ? undefined : { required: body['required'] === true, schema }
}

function toResponses(responses: Node, resolve: (value: unknown) => Node): ContractOperation['responses'] {
  const byStatus: ContractOperation['responses'] = {}
  for (const [status, response] of Object.entries(responses)) byStatus[status] = jsonContent(resolve(response))
  return byStatus
}

function jsonContent(holder: Node): JsonSchema | null {
  if (holder['content'] === undefined) return null
  const json = node(holder['content'], 'content')['application/json']
  return json === undefined ? null : toJsonSchema(node(json, 'application/json')['schema'])
}

/** `properties` is a map of names, where `description` and the like are fields and no keywords. */
function toJsonSchema(value: unknown): JsonSchema {
  const told = toldApart(node(value, 'schema'))
  if (told) return told
  const schema: Record<string, unknown> = {}
  for (const [keyword, content] of Object.entries(node(value, 'schema'))) {
    if (proseKeywords.has(keyword) || keyword.startsWith('x-') || keyword === 'nullable') continue
    if (keyword === '$ref') schema[keyword] = toReference(content)
    else if (keyword === 'properties') schema[keyword] = mapValues(node(content, keyword), toJsonSchema)
    else if (keyword === 'allOf' || keyword === 'anyOf' || keyword === 'oneOf')
      schema[keyword] = list(content).map(toJsonSchema)
    else if (
      keyword === 'items' ||
      keyword === 'not' ||
      (keyword === 'additionalProperties' && typeof content === 'object')
    )
      schema[keyword] = toJsonSchema(content)
    else schema[keyword] = content
  }
  if (node(value, 'schema')['nullable'] !== true) return schema
  const simple = typeof schema['type'] === 'string' && schema['enum'] === undefined && schema['allOf'] === undefined
  return simple ? { ...schema, type: [schema['type'], 'null'] } : { anyOf: [{ type: 'null' }, schema] }
}

const toReference = (reference: unknown): string =>
  text(reference, '$ref').replace('#/components/schemas/', `${schemasId}#/definitions/`)

/**
 * One of several, told apart by a field that none of them mentions: `oneOf` alone would find that what has the fields of the larger one has
 * those of the smaller one too.
 */
function toldApart(schema: Node): JsonSchema | undefined {
  if (schema['discriminator'] === undefined || schema['oneOf'] === undefined) return undefined
  const { propertyName, mapping } = node(schema['discriminator'], 'discriminator')
  const field = text(propertyName, 'propertyName of a discriminator')
  const kinds = Object.entries(node(mapping, 'mapping of a discriminator'))
  return {
    type: 'object',
    required: [field],
    properties: { [field]: { enum: kinds.map(([kind]) => kind) } },
    allOf: kinds.map(([kind, reference]) => ({
      if: { properties: { [field]: { const: kind } } },
      // oxlint-disable-next-line unicorn/no-thenable -- JSON Schema's word
      then: { $ref: toReference(reference) },
    })),
  }
}

function mapValues<Value>(of: Node, map: (value: unknown) => Value): Record<string, Value> {
  return Object.fromEntries(Object.entries(of).map(([key, value]) => [key, map(value)]))
}

function node(value: unknown, what: string): Node {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Node
  throw new Error(`the contract's ${what} is not an object`)
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function text(value: unknown, what: string): string {
  if (typeof value === 'string') return value
  throw new Error(`the contract's ${what} is not a text`)
}
