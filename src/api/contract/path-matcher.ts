// Finds the operation for a method and path.
//
// Fastify could do this, but its 163 routes with their HEAD and OPTIONS twins hold 14 MB and take a tenth of a second at start; this
// table holds next to nothing, and decides about encoding where we can say what is wrong with it.

import { AppError } from '../../model/errors.ts'
import type { ContractOperation, Method } from './operations.ts'

export type Match = { operation: ContractOperation; params: Record<string, string> }

export type PathMatcher = {
  /** `path` is as it was sent, without the base path and the query. Throws `bad_request` where it cannot be decoded. */
  match(method: Method, path: string): Match | undefined
  /** The methods that a path has, in the contract's order. */
  methodsOf(path: string): Method[]
}

type Node = { literal: Map<string, Node>; parameter: Node | undefined; operations: Map<Method, ContractOperation> }

const methods: readonly Method[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']

export function createPathMatcher(operations: readonly ContractOperation[]): PathMatcher {
  const root = newNode()
  for (const operation of operations) {
    let node = root
    for (const part of operation.path.slice(1).split('/')) node = descend(node, part)
    node.operations.set(operation.method, operation)
  }
  const match = (method: Method, path: string): Match | undefined => {
    const parts = path.split('/').slice(1)
    const operation = find(root, method, parts, 0)
    return operation && { operation, params: paramsOf(operation, parts) }
  }
  return { match, methodsOf: (path) => methods.filter((method) => match(method, path)) }
}

/** Slashes inside a parameter come encoded, so parts are compared as sent and decoded afterwards. */
function find(node: Node, method: Method, parts: readonly string[], at: number): ContractOperation | undefined {
  const part = parts[at]
  if (part === undefined) return node.operations.get(method)
  const literal = node.literal.get(part)
  // `/projects/shared` is a list, `/projects/shared/branches` belongs to a project of that name: the literal is tried first.
  const found = literal && find(literal, method, parts, at + 1)
  if (found) return found
  return node.parameter && part !== '' ? find(node.parameter, method, parts, at + 1) : undefined
}

function paramsOf(operation: ContractOperation, parts: readonly string[]): Record<string, string> {
  const params: Record<string, string> = {}
  for (const [index, template] of operation.path.slice(1).split('/').entries())
    if (template.startsWith('{')) params[template.slice(1, -1)] = decode(parts[index] ?? '')
  return params
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch (cause) {
    throw new AppError('bad_request', 'invalid request: the path is not valid percent-encoded UTF-8', { cause })
  }
}

function descend(node: Node, part: string): Node {
  if (part.startsWith('{')) return (node.parameter ??= newNode())
  const known = node.literal.get(part)
  if (known) return known
  const child = newNode()
  node.literal.set(part, child)
  return child
}

function newNode(): Node {
  return { literal: new Map(), parameter: undefined, operations: new Map() }
}
