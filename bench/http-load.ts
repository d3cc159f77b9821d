// Requests over kept-alive connections, one at a time on each, by a client that costs next to nothing: it knows where an answer ends and
// looks at its status, and nothing else of it.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export type HttpCall = { method: string; path: string; headers?: Readonly<Record<string, string>>; body?: string }

export type Load = {
  /** In ms, of each answer. */
  latencies: number[]
  perSecond: number
}

export type LoadOptions = {
  port: number
  connections: number
  seconds: number
  /** The n-th request. */
  next: (n: number) => HttpCall
}

/** Throws where an answer is no success. */
export async function httpLoad({ port, connections, seconds, next }: LoadOptions): Promise<Load> {
  const clients = await Promise.all(Array.from({ length: connections }, () => Client.open(port)))
  const latencies: number[] = []
  let n = 0
  const began = performance.now()
  const until = began + seconds * 1000
  try {
    await Promise.all(
      clients.map(async (client) => {
        while (performance.now() < until) {
          const sent = performance.now()
          await client.ask(next(n++))
          latencies.push(performance.now() - sent)
        }
      }),
    )
  } finally {
    for (const client of clients) client.close()
  }
  return { latencies, perSecond: latencies.length / ((performance.now() - began) / 1000) }
}

class Client {
  readonly #socket: Socket
  #received: Buffer[] = []
  #size = 0
  /** Of the answer under way; undefined until its head is there. */
  #whole: number | undefined
  #answered: { resolve: () => void; reject: (error: Error) => void } | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay()
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('error', (error) => this.#answered?.reject(error))
    socket.on('close', () => this.#answered?.reject(new Error('the connection ended')))
  }

  static async open(port: number): Promise<Client> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    return new Client(socket)
  }

  ask({ method, path, headers = {}, body = '' }: HttpCall): Promise<void> {
    const all = { host: '127.0.0.1', ...headers, ...(body === '' ? {} : { 'content-length': Buffer.byteLength(body) }) }
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
    return new Promise((resolve, reject) => {
      this.#answered = { resolve, reject }
      this.#socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`)
    })
  }

  close(): void {
    this.#answered = undefined
    this.#socket.destroy()
  }

  #take(chunk: Buffer): void {
    this.#received.push(chunk)
    this.#size += chunk.length
    this.#whole ??= this.#headEnd()
    if (this.#whole === undefined || this.#size < this.#whole) return
    const answered = this.#answered
    this.#answered = undefined
    this.#received = []
    this.#size = 0
    this.#whole = undefined
    answered?.resolve()
  }

  /** Where the answer ends. */
  #headEnd(): number | undefined {
    const text = Buffer.concat(this.#received).toString('latin1')
    const end = text.indexOf('\r\n\r\n')
    if (end < 0) return undefined
    const head = text.slice(0, end)
    if (!head.startsWith('HTTP/1.1 2')) this.#answered?.reject(new Error(`answered ${text.slice(0, 500)}`))
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
    return end + 4 + length
  }
}
