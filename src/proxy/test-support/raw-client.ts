// A client that speaks the protocol by hand, for what drivers do not let one do: read slowly, stop halfway.

import { connect, type Socket } from 'node:net'
import { writePasswordMessage, writeTerminate } from '../../pgwire/frontend-messages.ts'
import { cString, readMessage, writeMessage, type Message } from '../../pgwire/message.ts'
import { writeStartupMessage } from '../../pgwire/startup-packet.ts'
import { readFrom } from '../socket-reader.ts'
import { testPassword, testUser } from './postgres.ts'

export class RawClient {
  readonly socket: Socket

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => {})
  }

  /** Logs in with the endpoint in the password: clear text, so there is no SCRAM to do. */
  static async logIn(port: number, endpointId: string): Promise<RawClient> {
    const client = new RawClient(connect({ port, host: '127.0.0.1' }))
    client.socket.write(
      writeStartupMessage({ major: 3, minor: 0 }, [
        ['user', testUser],
        ['database', 'postgres'],
      ]),
    )
    client.socket.write(writePasswordMessage(`endpoint=${endpointId};${testPassword}`))
    await client.until('Z')
    return client
  }

  send(type: string, body: Buffer = Buffer.alloc(0)): boolean {
    return this.socket.write(writeMessage(type, body))
  }

  query(sql: string): void {
    this.send('Q', cString(sql))
  }

  next(): Promise<Message> {
    return readFrom(this.socket, (buffer) => readMessage(buffer, 10_000_000))
  }

  /** Reads messages up to and including one of the type. */
  async until(type: string): Promise<Message[]> {
    const messages: Message[] = []
    for (;;) {
      const message = await this.next()
      messages.push(message)
      if (message.type === type) return messages
      if (message.type === 'E') throw new Error(message.body.toString('latin1'))
    }
  }

  /** The first column of the first row. */
  async value(sql: string): Promise<string> {
    this.query(sql)
    const row = (await this.until('Z')).find(({ type }) => type === 'D')
    return row?.body.toString('utf8', 6) ?? ''
  }

  end(): void {
    this.socket.end(writeTerminate())
  }
}
