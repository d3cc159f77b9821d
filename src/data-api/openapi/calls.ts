// Calls of functions: by POST with the arguments as an object, and by GET where nothing is changed.

import { parametersOf } from '../schema-cache/functions.ts'
import type { Parameter } from '../schema-cache/schema-cache.ts'
import { summaryOf } from './comment.ts'
import type { FunctionFacts } from './facts.ts'
import type { PathItem } from './operations.ts'
import { functionPath, toParameter } from './reference.ts'
import { swaggerType } from './types.ts'

/** A single parameter of one of them needs no name: it is the body. */
const wholeTypes = new Set(['json', 'jsonb', 'text', 'xml', 'bytea'])

/** One path for each name; of overloads that of the fewest arguments, which come in this order. */
export function callPaths(functions: readonly FunctionFacts[]): [path: string, PathItem][] {
  const paths = new Map<string, PathItem>()
  for (const each of functions) {
    const parameters = parametersOf(each)
    const path = functionPath(each.name)
    if (paths.has(path)) continue
    if (parameters.every(({ name }) => name !== '')) paths.set(path, namedCall(each, parameters))
    else if (parameters.length === 1 && parameters[0] && wholeTypes.has(parameters[0].type))
      paths.set(path, wholeCall(each, parameters[0]))
  }
  return [...paths]
}

function namedCall(called: FunctionFacts, parameters: readonly Parameter[]): PathItem {
  const about = aboutOf(called)
  const args = {
    type: 'object',
    ...(called.comment === null ? {} : { description: called.comment }),
    ...(parameters.some(isRequired) ? { required: parameters.filter(isRequired).map(({ name }) => name) } : {}),
    properties: Object.fromEntries(parameters.map(({ name, type }) => [name, swaggerType(type)])),
  }
  const post = { ...about, parameters: [bodyOf(args), toParameter('preferParams')] }
  return called.isVolatile ? { post } : { get: { ...about, parameters: parameters.map(queryParameter) }, post }
}

function wholeCall(called: FunctionFacts, { type }: Parameter): PathItem {
  return { post: { ...aboutOf(called), parameters: [bodyOf(swaggerType(type)), toParameter('preferParams')] } }
}

const aboutOf = ({ name, comment }: FunctionFacts): PathItem => ({
  tags: [`(rpc) ${name}`],
  ...summaryOf(comment),
  produces: [
    'application/json',
    'application/vnd.pgrst.object+json;nulls=stripped',
    'application/vnd.pgrst.object+json',
  ],
  responses: { 200: { description: 'OK' } },
})

const bodyOf = (schema: object): object => ({ name: 'args', in: 'body', required: true, schema })

const isRequired = (parameter: Parameter): boolean => parameter.isRequired && !parameter.isVariadic

/** An array is written as Postgres does, in one text; a variadic one is repeated. */
function queryParameter(parameter: Parameter): object {
  const { name, type, isVariadic } = parameter
  const given = swaggerType(type)
  const shared = { name, in: 'query', required: isRequired(parameter) }
  if (!isVariadic)
    return { ...shared, type: given.type === 'array' ? 'string' : (given.type ?? 'string'), format: given.format }
  const { type: itemType = 'string', format } = swaggerType(type.replace(/\[\]$/, ''))
  return { ...shared, type: 'array', collectionFormat: 'multi', items: { type: itemType, format } }
}
