// A mail server of somebody's: takes mails, reads them as a mail program would, or does whatever a test wants of it.

import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { simpleParser, type ParsedMail } from 'mailparser'
import { SMTPServer } from 'smtp-server'

export type ReceivedMail = {
  mail: ParsedMail
  raw: string
  recipients: string[]
  /** Whether it came under TLS, and as whom. */
  secure: boolean
  user: string | undefined
}

export type MailServer = AsyncDisposable & {
  port: number
  received: ReceivedMail[]
  /** What the next mails are answered with instead of being taken. */
  answers: number[]
}

export const mailPassword = 'secret of the mail server'

export async function startMailServer({ tls = true }: { tls?: boolean } = {}): Promise<MailServer> {
  const result = { received: [] as ReceivedMail[], answers: [] as number[] }
  const smtp = new SMTPServer({
    authOptional: true,
    allowInsecureAuth: true,
    disabledCommands: tls ? [] : ['STARTTLS'],
    logger: false,
    onAuth({ username, password }, _session, callback) {
      if (password !== mailPassword) return callback(new Error('no such user here'))
      callback(null, { user: username ?? '' })
    },
    onData(stream, { envelope, secure, user }, callback) {
      void buffer(stream).then(async (content) => {
        const status = result.answers.shift()
        if (status !== undefined) {
          callback(Object.assign(new Error('not now'), { responseCode: status }))
          return
        }
        result.received.push({
          mail: await simpleParser(content),
          raw: content.toString(),
          recipients: envelope.rcptTo.map(({ address }) => address),
          secure,
          user: typeof user === 'string' ? user : undefined,
        })
        callback()
      })
    },
  })
  smtp.on('error', () => {})
  const server = smtp.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    ...result,
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => smtp.close(() => resolve()))
    },
  }
}

/** One that takes connections and never says a word. */
export async function startSilentServer(): Promise<AsyncDisposable & { port: number; connections: () => number }> {
  let connections = 0
  const server = createServer((socket) => {
    connections++
    socket.on('error', () => {})
    socket.unref()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        resolve()
      })
    },
  }
}
