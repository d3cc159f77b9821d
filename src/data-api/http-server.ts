// HTTP for an engine: reads a request whole, within its bounds, and writes the answer.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { HttpRequest } from './request/request.ts'
import type { HttpAnswer } from './response/answer.ts'

export type HttpServerOptions = {
  handle: (request: HttpRequest) => Promise<HttpAnswer>
  /** In bytes. Undefined: no bound. */
  longestBodyBytes: number | undefined
}

export function createHttpServer(options: HttpServerOptions): Server {
  return createServer((incoming, outgoing) => {
    void answer(incoming, outgoing, options)
  })
}

async function answer(incoming: IncomingMessage, outgoing: ServerResponse, options: HttpServerOptions): Promise<void> {
  const body = await readBody(incoming, options.longestBodyBytes).catch(() => undefined)
  if (body === undefined) return void incoming.destroy()
  if (body === 'too long') return write(incoming, outgoing, tooLong)
  const headers: Record<string, string | undefined> = {}
  for (const [name, value] of Object.entries(incoming.headers))
    headers[name] = Array.isArray(value) ? value.join(', ') : value
  const request = { method: incoming.method ?? 'GET', target: incoming.url ?? '/', headers, body }
  write(incoming, outgoing, await options.handle(request))
}

const tooLong: HttpAnswer = {
  status: 413,
  headers: [['Content-Type', 'application/json; charset=utf-8']],
  body: JSON.stringify({ code: '', details: null, hint: null, message: 'the body of the request is too large' }),
}

/** What is too long is read to its end, and not kept: whoever is still sending it hears no answer. */
async function readBody(incoming: IncomingMessage, longest = Infinity): Promise<Buffer | 'too long'> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size <= longest) chunks.push(chunk)
    if (size > longest * 4) throw new Error('far too long')
  }
  return size > longest ? 'too long' : Buffer.concat(chunks)
}

function write(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { status, reason, headers, body }: HttpAnswer,
): void {
  if (outgoing.destroyed) return
  const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body
  const hasBody = status !== 204 && status !== 304
  const list: string[] = []
  for (const [name, value] of headers) {
    // Each header is bytes; Node takes them as Latin-1.
    if (name !== 'Content-Length') list.push(name, Buffer.from(value, 'utf8').toString('latin1'))
  }
  if (hasBody && incoming.method !== 'HEAD') list.push('Content-Length', String(bytes.length))
  if (reason === undefined) outgoing.writeHead(status, list)
  else outgoing.writeHead(status, reason.replaceAll(/[^\u0020-\u007e]/g, ' ').slice(0, 200), list)
  outgoing.end(hasBody && incoming.method !== 'HEAD' ? bytes : undefined)
}
