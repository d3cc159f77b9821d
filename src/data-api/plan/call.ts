// The plan of a call: which of the functions of a name is meant, and where its arguments come from.

import { DataApiError } from '../errors.ts'
import type { ApiRequest } from '../request/request.ts'
import { functionsNamed } from '../schema-cache/lookup.ts'
import type { DatabaseFunction, Parameter, QualifiedName, SchemaCache } from '../schema-cache/schema-cache.ts'
import { looselySimilar, mostSimilar } from '../schema-cache/similarity.ts'
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
  const list = given.toSorted().join(', ')
  const none = ' without parameters'
  const named = given.length === 0 ? none : ` with parameter${given.length === 1 ? '' : 's'} ${list}`
  const whole = payload === undefined ? undefined : unnamedNames[contentType.kind]
  const isWhole = whole !== undefined && contentType.kind !== 'json' && contentType.kind !== 'any'
  const searched =
    whole === undefined
      ? named
      : isWhole
        ? ` with a single unnamed ${whole} parameter`
        : `${named} or with a single unnamed ${whole} parameter`
  const signature = isWhole ? '' : given.length === 0 ? none : `(${list})`
  return new DataApiError({
    code: 'PGRST202',
    message: `Could not find the function ${schema}.${name}${signature} in the schema cache`,
    details: `Searched for the function ${schema}.${name}${searched}, but no matches were found in the schema cache.`,
    hint: nearFunction(cache, { schema, name }, list, all),
  })
}

const unnamedNames: Readonly<Record<string, string>> = {
  json: 'json/jsonb',
  any: 'json/jsonb',
  text: 'text',
  xml: 'xml',
  'octet-stream': 'bytea',
}

function nearFunction(
  cache: SchemaCache,
  { schema, name }: QualifiedName,
  list: string,
  all: readonly DatabaseFunction[],
): string | undefined {
  const meant = (text: string | undefined): string | undefined =>
    text === undefined ? undefined : `Perhaps you meant to call the function ${schema}.${text}`
  if (all.length > 0) {
    const signatures = all.map(({ parameters }) => `(${parameters.map((each) => each.name).join(', ')})`)
    const near = mostSimilar(`(${list})`, signatures, 0)
    return meant(near === undefined ? undefined : `${name}${near}`)
  }
  const named = [...cache.functions.values()].flat().filter((each) => each.schema === schema)
  return meant(
    mostSimilar(
      name,
      named.map((each) => each.name),
      looselySimilar,
    ),
  )
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
