// A session with a compute that runs statements and hands on their rows as they come.
//
// One pipeline at a time: all its statements go out at once and one Sync behind them, so a request costs one round trip whatever it
// holds. Between pipelines the connection listens, so that one whose compute has gone is known for dead before it is used again.

import type { Socket } from 'node:net'
import { mayChangeRoles } from '../../pgwire/command-tag.ts'
import { readErrorFields } from '../../pgwire/error-fields.ts'
import { writeTerminate } from '../../pgwire/frontend-messages.ts'
import type { Message } from '../../pgwire/message.ts'
import { forwardCancel } from '../cancel.ts'
import type { OpenServer } from '../open-server.ts'
import { writePipeline, writeSimpleQuery, type Statement } from './extended-query.ts'
import { MessageSplitter, MessageTooLong } from './message-splitter.ts'
import { readDataRow, readRowDescription, type Field } from './row-messages.ts'
import { QueryFailed, ServerLost, SqlHttpError } from './sql-answer.ts'

/** Takes results as they come. What it throws ends the session. */
export type ResultSink = {
  /** Bytes of the next message that there is room for. */
  room(): number
  fields(statement: number, fields: readonly Field[]): void
  row(statement: number, values: readonly (string | null)[]): void
  /** With its command tag; empty where the statement was. */
  complete(statement: number, tag: string): void
  tooLong(): Error
}

type Pipeline = {
  sink: ResultSink
  /** Which statement the next answer belongs to. */
  statement: number
  /** Anything was answered. */
  answered: boolean
  failure: Error | undefined
  readiesToCome: number
  done: PromiseWithResolvers<void>
}

/** Notices, notifications and changed parameters reach nobody over HTTP. */
const unread = new Set(['N', 'A', 'S'])
/** Beyond what there is room for: a row is longer on the wire than as JSON by up to three bytes a column. */
const slack = 65_536
/** Postgres was told to stop, or the session was idle for too long, and says so before it has looked at anything. */
const saidGoodbye = new Set(['57P01', '57P05'])
/** The other side had closed before it read what we sent. */
const neverRead = new Set(['EPIPE', 'ECONNRESET'])

const noRows: ResultSink = {
  room: () => 0,
  fields: () => {},
  row: () => {},
  complete: () => {},
  tooLong: () => new Error('an answer to housekeeping was too long'),
}

export class ServerConnection {
  readonly #socket: Socket
  readonly #opened: OpenServer
  readonly #splitter = new MessageSplitter((type) => !unread.has(type))
  readonly #rolesMayHaveChanged: () => void
  #pipeline: Pipeline | undefined
  #error: NodeJS.ErrnoException | undefined
  #status = 'I'
  #isDead = false
  /** Tells whoever keeps it that it is of no more use. */
  onDead: () => void = () => {}

  /** `rolesMayHaveChanged`: by a command that has just ended. */
  constructor(opened: OpenServer, rolesMayHaveChanged: () => void) {
    this.#opened = opened
    this.#rolesMayHaveChanged = rolesMayHaveChanged
    this.#socket = opened.socket
    this.#socket.on('error', (error) => (this.#error = error))
    this.#socket.on('end', () => {
      this.#die()
      // Not destroyed: what we still write fails then, and says by that that it was not read.
      this.#socket.end()
    })
    this.#socket.on('close', () => this.#closed())
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk))
    this.#socket.resume()
    if (this.#socket.destroyed) this.#die()
  }

  get isDead(): boolean {
    return this.#isDead
  }

  /** Throws QueryFailed, ServerLost, SqlHttpError, and what the sink throws; then the session is not to be used again. */
  async run(statements: readonly Statement[], sink: ResultSink): Promise<void> {
    await this.#send(writePipeline(statements), sink, 1)
  }

  /** As good as new: nothing that a statement set, locked, prepared or left open is there any more. */
  async reset(): Promise<void> {
    const resets = this.#status === 'I' ? ['DISCARD ALL'] : ['ROLLBACK', 'DISCARD ALL']
    await this.#send(Buffer.concat(resets.map(writeSimpleQuery)), noRows, resets.length)
  }

  /** Ends what runs, then the session. Never throws. */
  async cancel(): Promise<void> {
    const { socketPath, key } = this.#opened
    await forwardCancel({ socketPath, backend: key })
    this.destroy()
  }

  /** Politely, while nothing runs. */
  end(): void {
    this.#die()
    if (this.#socket.writable) this.#socket.end(writeTerminate())
    this.#socket.destroySoon()
  }

  destroy(): void {
    this.#die()
    this.#socket.destroy()
  }

  async #send(bytes: Buffer, sink: ResultSink, readies: number): Promise<void> {
    if (this.#isDead) throw new ServerLost(true)
    const done = Promise.withResolvers<void>()
    const pipeline: Pipeline = { sink, statement: 0, answered: false, failure: undefined, readiesToCome: readies, done }
    this.#pipeline = pipeline
    this.#socket.write(bytes)
    await done.promise
  }

  #read(chunk: Buffer): void {
    try {
      this.#splitter.push(
        chunk,
        () => (this.#pipeline?.sink.room() ?? 0) + slack,
        (message) => this.#message(message),
      )
    } catch (error) {
      const failure = error instanceof MessageTooLong ? this.#pipeline?.sink.tooLong() : error
      this.#fail(failure instanceof Error ? failure : new Error(String(failure)))
    }
  }

  #message({ type, body }: Message): void {
    const pipeline = this.#pipeline
    // Nobody asked: it says goodbye.
    if (!pipeline) return this.#die()
    const { sink } = pipeline
    switch (type) {
      case 'T':
        sink.fields(pipeline.statement, readRowDescription(body))
        break
      case 'n':
        sink.fields(pipeline.statement, [])
        break
      case 'D':
        sink.row(pipeline.statement, readDataRow(body))
        break
      case 'C':
        if (mayChangeRoles(body[0], body[1])) this.#rolesMayHaveChanged()
        sink.complete(pipeline.statement++, body.toString('utf8', 0, body.length - 1))
        break
      case 'I':
        sink.complete(pipeline.statement++, '')
        break
      case 'E':
        pipeline.failure ??= failureOf(body, pipeline.answered)
        break
      case 'G':
      case 'H':
      case 'W':
        throw new SqlHttpError(400, 'COPY from or to the client is not supported over HTTP', '0A000')
      case 'Z':
        this.#status = String.fromCharCode(body[0] ?? 0)
        if (--pipeline.readiesToCome > 0) break
        this.#pipeline = undefined
        if (pipeline.failure) pipeline.done.reject(pipeline.failure)
        else pipeline.done.resolve()
    }
    pipeline.answered = true
  }

  #fail(error: Error): void {
    const pipeline = this.#pipeline
    this.#pipeline = undefined
    this.destroy()
    pipeline?.done.reject(error)
  }

  #closed(): void {
    this.#die()
    const pipeline = this.#pipeline
    if (!pipeline) return
    this.#pipeline = undefined
    const untouched = !pipeline.answered && neverRead.has(this.#error?.code ?? '')
    pipeline.done.reject(pipeline.failure ?? new ServerLost(untouched, this.#error))
  }

  #die(): void {
    if (this.#isDead) return
    this.#isDead = true
    this.onDead()
  }
}

function failureOf(body: Buffer, answered: boolean): Error {
  const fields = readErrorFields(body)
  const failure = new QueryFailed(fields)
  return !answered && saidGoodbye.has(fields.get('C') ?? '') ? new ServerLost(true, failure) : failure
}
