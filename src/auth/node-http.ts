// Between Node's HTTP and the requests and responses of the web's standard, which surfaces are written for.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { AppError } from '../model/errors.ts'

const mostBodyBytes = 1024 * 1024
/** Of a body that nobody wants. */
const mostDiscardedBytes = 16 * 1024 * 1024
const longestDiscardMs = 5_000

/** Undefined where there is none. Throws `too_large`, `bad_request` where it breaks off. */
export async function readBody(incoming: IncomingMessage): Promise<Buffer | undefined> {
  const { headers } = incoming
  const length = Number(headers['content-length'] ?? 0)
  if (headers['transfer-encoding'] === undefined && length === 0) return undefined
  if (length > mostBodyBytes) throw tooLarge()
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of chunksOf(incoming)) {
      size += chunk.length
      if (size > mostBodyBytes) throw tooLarge()
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('bad_request', 'the body of the request breaks off', { cause: error })
  }
  return Buffer.concat(chunks)
}

/** Whoever stops reading does not end the connection: there is an answer to be sent on it. */
const chunksOf = (incoming: IncomingMessage): AsyncIterable<Buffer> =>
  incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>

/**
 * What is left of a request once its answer is known. A connection that is closed with something unread is reset, and whoever is still
 * sending hears of that and not of the answer.
 */
async function discardRest(incoming: IncomingMessage): Promise<void> {
  if (incoming.complete || incoming.destroyed) return
  const timer = setTimeout(() => incoming.destroy(), longestDiscardMs)
  try {
    let size = 0
    for await (const chunk of chunksOf(incoming)) {
      size += chunk.length
      if (size > mostDiscardedBytes) break
    }
  } catch {
    // It broke off, and nobody hears the answer.
  } finally {
    clearTimeout(timer)
  }
}

const tooLarge = (): AppError => new AppError('too_large', `a body has at most ${mostBodyBytes} bytes`)

/** Of the connection, not of the request. */
const ofConnection = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'expect', 'te', 'trailer'])

export function toRequest(
  incoming: IncomingMessage,
  url: string,
  body: Buffer | undefined,
  signal: AbortSignal,
): Request {
  const { method = 'GET' } = incoming
  if (forbiddenMethods.has(method.toUpperCase())) throw new AppError('not_found', 'there is nothing here')
  const headers = new Headers()
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value === undefined || ofConnection.has(name)) continue
    for (const one of Array.isArray(value) ? value : [value]) headers.append(name, one)
  }
  const takesBody = method !== 'GET' && method !== 'HEAD'
  return new Request(url, { method, headers, signal, ...(takesBody && body ? { body: new Uint8Array(body) } : {}) })
}

/** No `Request` is made of these. */
const forbiddenMethods = new Set(['CONNECT', 'TRACE', 'TRACK'])

export async function writeResponse(outgoing: ServerResponse, response: Response): Promise<void> {
  const body = Buffer.from(await response.arrayBuffer())
  await discardRest(outgoing.req)
  if (outgoing.destroyed) return
  for (const [name, value] of response.headers) {
    if (name !== 'set-cookie' && !ofConnection.has(name)) outgoing.setHeader(name, value)
  }
  const cookies = response.headers.getSetCookie()
  if (cookies.length > 0) outgoing.setHeader('set-cookie', cookies)
  const hasBody = response.status !== 204 && response.status !== 304
  if (hasBody) outgoing.setHeader('content-length', body.length)
  // What is left of it now is not read any more.
  if (!outgoing.req.complete) outgoing.setHeader('connection', 'close')
  outgoing.writeHead(response.status)
  outgoing.end(hasBody ? body : undefined)
}
