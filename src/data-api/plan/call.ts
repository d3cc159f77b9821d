// The plan of a call: which of the functions of a name is meant, and where its arguments come from.

import { DataApiError } from '../errors.ts'
import type { ApiRequest } from '../request/request.ts'
import { functionsNamed } from '../schema-cache/lookup.ts'
import type { DatabaseFunction, Parameter, QualifiedName, SchemaCache } from '../schema-cache/schema-cache.ts'
import { mostSimilar } from '../schema-cache/similarity.ts'
import type { CallArgument, CallPlan } from './plan.ts'

/** Of what a body is for a function with one parameter without a name. */
const unnamedTypes: Readonly<Record<string, readonly string[]>> = {
  json: ['json', 'jsonb'],
  any: ['json', 'jsonb'],
  text: ['text'],
  xml: ['xml'],
  'octet-stream': ['bytea'],
}

/** Throws PGRST202, PGRST203. */
export function planCall(request: ApiRequest, name: QualifiedName, cache: SchemaCache): CallPlan {
  const { payload, query, contentType } = request
  const isPost = payload !== undefined
  const given = isPost ? request.columns : [...new Set(query.callArguments.map(([key]) => key))]
  const all = functionsNamed(cache, name)
  const isNamed = payload?.kind !== 'raw'
  const fitting = isNamed ? all.filter((each) => takes(each, given)) : []
  const unnamed = isPost ? all.filter((each) => takesWhole(each, contentType.kind)) : []
  const candidates = fitting.length > 0 ? fitting : unnamed
  const [found, ...others] = candidates
  if (!found) throw notFound(cache, name, given, request, all)
  if (others.length > 0) throw ambiguous(name, candidates)
  if (fitting.length === 0) {
    const [parameter] = found.parameters
    return { function: found, arguments: { kind: 'raw', body: wholeBody(request), type: parameter?.type ?? 'text' } }
  }
  const used = found.parameters.filter((parameter) => given.includes(parameter.name))
  if (used.length === 0) return { function: found, arguments: { kind: 'none' } }
  if (!isPost) return { function: found, arguments: { kind: 'literals', values: literals(used, query.callArguments) } }
  if (payload?.kind === 'urlencoded')
    return { function: found, arguments: { kind: 'literals', values: literals(used, payload.pairs) } }
  const text = payload?.kind === 'json' || payload?.kind === 'raw-json' ? payload.text : '{}'
  return { function: found, arguments: { kind: 'json', payload: text, parameters: used } }
}

function literals(used: readonly Parameter[], pairs: readonly (readonly [string, string])[]): CallArgument[] {
  return used.map((parameter) => {
    const values = pairs.filter(([key]) => key === parameter.name).map(([, value]) => value)
    return { parameter, values: parameter.isVariadic ? values : values.slice(-1) }
  })
}

const takes = ({ parameters }: DatabaseFunction, given: readonly string[]): boolean =>
  given.every((name) => parameters.some((parameter) => parameter.name === name)) &&
  parameters.every(({ isRequired, isVariadic, name }) => (!isRequired || isVariadic ? true : given.includes(name)))

function takesWhole({ parameters }: DatabaseFunction, contentType: string): boolean {
  const [parameter, ...others] = parameters
  return others.length === 0 && parameter?.name === '' && (unnamedTypes[contentType] ?? []).includes(parameter.type)
}

function wholeBody({ payload }: ApiRequest): string | Buffer {
  if (payload?.kind === 'raw') return payload.bytes
  return payload?.kind === 'json' || payload?.kind === 'raw-json' ? payload.text : ''
}

function notFound(
  cache: SchemaCache,
  { schema, name }: QualifiedName,
  given: readonly string[],
  { payload, contentType }: ApiRequest,
  all: readonly DatabaseFunction[],
): DataApiError {
  const sorted = [...given].toSorted()
  const list = sorted.join(', ')
  const withParameters =
    given.length === 0 ? 'without parameters' : `with parameter${given.length === 1 ? '' : 's'} ${list}`
  const body = { json: 'json/jsonb', any: 'json/jsonb', text: 'text', xml: 'xml', 'octet-stream': 'bytea' }[
    contentType.kind as 'json'
  ]
  const unnamed =
    payload === undefined || body === undefined
      ? ''
      : `${given.length === 0 ? ' or' : ' or'} with a single unnamed ${body} parameter`
  const signature = given.length === 0 ? `${schema}.${name}` : `${schema}.${name}(${list})`
  return new DataApiError({
    code: 'PGRST202',
    message: `Could not find the function ${signature}${given.length === 0 ? ' without parameters' : ''} in the schema cache`,
    details: `Searched for the function ${schema}.${name} ${withParameters}${unnamed}, but no matches were found in the schema cache.`,
    hint: nearFunction(cache, { schema, name }, list, all),
  })
}

function nearFunction(
  cache: SchemaCache,
  { schema, name }: QualifiedName,
  list: string,
  all: readonly DatabaseFunction[],
): string | undefined {
  const text = (each: DatabaseFunction): string =>
    each.parameters.length === 0
      ? `${schema}.${each.name}`
      : `${schema}.${each.name}(${each.parameters.map((parameter) => parameter.name).join(', ')})`
  if (all.length > 0) {
    const near = mostSimilar(`${schema}.${name}(${list})`, all.map(text), 0)
    return near === undefined ? undefined : `Perhaps you meant to call the function ${near}`
  }
  const named = [...cache.functions.values()].flat().filter((each) => each.schema === schema)
  const near = mostSimilar(
    name,
    named.map((each) => each.name),
  )
  return near === undefined ? undefined : `Perhaps you meant to call the function ${schema}.${near}`
}

function ambiguous({ schema, name }: QualifiedName, candidates: readonly DatabaseFunction[]): DataApiError {
  const texts = candidates.map(
    ({ parameters }) => `${schema}.${name}(${parameters.map((each) => `${each.name} => ${each.type}`).join(', ')})`,
  )
  return new DataApiError({
    code: 'PGRST203',
    message: `Could not choose the best candidate function between: ${texts.join(', ')}`,
    hint: 'Try renaming the parameters or the function itself in the database so function overloading can be resolved',
  })
}
