// HTTP for an engine: reads a request whole, within its bounds, and writes the answer.

import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import type { HttpRequest } from './request/request.ts'
import type { HttpAnswer } from './response/answer.ts'

export type HttpServerOptions = {
  handle: (request: HttpRequest) => Promise<HttpAnswer>
  /** In bytes. Undefined: no bound. */
  longestBodyBytes: number | undefined
  /** Of all bodies in memory together, in bytes. */
  mostBodyBytes?: number
  /** Node's. */
  server?: ServerOptions
}

/** Bodies in memory, as they are read. */
class Bodies {
  readonly #longest: number
  readonly #most: number
  #held = 0

  constructor({ longestBodyBytes = Infinity, mostBodyBytes = Infinity }: HttpServerOptions) {
    this.#longest = longestBodyBytes
    this.#most = mostBodyBytes
  }

  /**
   * `release` is called when the body is of no use any more. What is too long is read to its end, and not kept: whoever is still sending it
   * hears no answer.
   */
  async read(incoming: IncomingMessage): Promise<{ body: Buffer | 'too long' | 'too many'; release: () => void }> {
    const chunks: Buffer[] = []
    let size = 0
    let held = 0
    let refused: 'too long' | 'too many' | undefined
    const release = (): void => {
      this.#held -= held
      held = 0
      chunks.length = 0
    }
    try {
      for await (const chunk of incoming as AsyncIterable<Buffer>) {
        size += chunk.length
        if (size > this.#longest * 4) throw new Error('far too long')
        refused ??= size > this.#longest ? 'too long' : this.#held + chunk.length > this.#most ? 'too many' : undefined
        if (refused) {
          release()
          continue
        }
        chunks.push(chunk)
        held += chunk.length
        this.#held += chunk.length
      }
    } catch (error) {
      release()
      throw error
    }
    return { body: refused ?? Buffer.concat(chunks), release }
  }
}

export function createHttpServer(options: HttpServerOptions): Server {
  const bodies = new Bodies(options)
  return createServer(options.server ?? {}, (incoming, outgoing) => {
    void answer(incoming, outgoing, bodies, options.handle)
  })
}

async function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  bodies: Bodies,
  handle: HttpServerOptions['handle'],
): Promise<void> {
  const read = await bodies.read(incoming).catch(() => undefined)
  if (read === undefined) return void incoming.destroy()
  const { body, release } = read
  try {
    if (body === 'too long') return write(incoming, outgoing, refusal(413, 'the body of the request is too large'))
    if (body === 'too many') return write(incoming, outgoing, refusal(503, 'too many requests at once; try again'))
    const headers: Record<string, string | undefined> = {}
    for (const [name, value] of Object.entries(incoming.headers))
      headers[name] = Array.isArray(value) ? value.join(', ') : value
    const request = { method: incoming.method ?? 'GET', target: incoming.url ?? '/', headers, body }
    const made = await handle(request)
    try {
      write(incoming, outgoing, made)
    } catch {
      // Node takes no such head.
      write(incoming, outgoing, refusal(500, 'the answer could not be written'))
    }
  } finally {
    release()
  }
}

/** What is not about the database: in the form of the rest, without a code. */
export function refusal(status: number, message: string): HttpAnswer {
  return {
    status,
    headers: [
      ['Content-Type', 'application/json; charset=utf-8'],
      ...(status === 503 ? [['Retry-After', '1'] as const] : []),
    ],
    body: JSON.stringify({ code: '', details: null, hint: null, message }),
  }
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
