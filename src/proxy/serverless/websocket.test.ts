import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket, WebSocketServer } from 'ws'
import { FrameBudget } from './frame-budget.ts'
import { WebSocketStream } from './websocket.ts'

async function pair(t: TestContext, budget?: FrameBudget): Promise<{ client: WebSocket; stream: WebSocketStream }> {
  const http = createServer().listen(0, '127.0.0.1')
  const server = new WebSocketServer({ server: http, perMessageDeflate: false })
  t.after(() => {
    http.close()
    http.closeAllConnections()
    for (const client of server.clients) client.terminate()
  })
  server.on('connection', (socket, request) => budget?.watch(socket, request.socket))
  await once(http, 'listening')
  const client = new WebSocket(`ws://127.0.0.1:${(http.address() as AddressInfo).port}`)
  client.on('error', () => {})
  const [[socket]] = (await Promise.all([once(server, 'connection'), once(client, 'open')])) as [[WebSocket], unknown]
  return { client, stream: new WebSocketStream(socket) }
}

const megabyte = Buffer.alloc(1024 * 1024, 'x')

test('a reader that stops stops the sender', async (t) => {
  const { client, stream } = await pair(t)
  for (let n = 0; n < 64; n++) client.send(megabyte)
  await delay(300)
  // Most of it is still with the sender: a frame or two here, and what the kernel holds.
  assert.ok(client.bufferedAmount > 40 * megabyte.length, String(client.bufferedAmount))
  assert.ok(stream.readableLength <= 2 * megabyte.length, String(stream.readableLength))
  let length = 0
  for await (const chunk of stream) {
    length += (chunk as Buffer).length
    if (length === 64 * megabyte.length) break
  }
  assert.equal(length, 64 * megabyte.length)
})

test('a client that takes nothing stops the writer', async (t) => {
  const { client, stream } = await pair(t)
  client.pause()
  let taken = 0
  for (let n = 0; n < 64; n++) stream.write(megabyte, () => taken++)
  await delay(300)
  assert.ok(taken < 32, String(taken))
  assert.ok(stream.writableNeedDrain)
  client.resume()
  await once(stream, 'drain')
  assert.equal(taken, 64)
})

test('what was said before a close is still heard, and a close is answered', async (t) => {
  const { client, stream } = await pair(t)
  client.send(Buffer.from('last '))
  client.send(Buffer.from('words'))
  client.close()
  const [heard, [code]] = await Promise.all([text(stream), once(client, 'close') as Promise<[number]>])
  assert.deepEqual([heard, code], ['last words', 1005])
  assert.equal(stream.destroyed, true)
})

test('an end is a close, behind all that was written', async (t) => {
  const { client, stream } = await pair(t)
  const frames: string[] = []
  client.on('message', (data: Buffer) => frames.push(String(data)))
  stream.write('a')
  stream.end('b')
  const [code] = (await once(client, 'close')) as [number]
  assert.deepEqual([frames.join(''), code], ['ab', 1000])
})

test('a stream that is destroyed is gone at once; writing to one whose client is gone throws nothing', async (t) => {
  const { client, stream } = await pair(t)
  stream.destroy()
  await once(client, 'close')
  const other = await pair(t)
  other.client.terminate()
  await once(other.stream, 'close')
  other.stream.write('x')
})

test('frames that never become complete do not fill the memory', async (t) => {
  const budget = new FrameBudget(4 * megabyte.length)
  const [begun, other] = [await pair(t, budget), await pair(t, budget)]
  begun.stream.resume()
  other.stream.resume()
  // Half of a frame of two megabytes, and nothing after it for a while.
  const socket = (begun.client as unknown as { _socket: Duplex })._socket
  socket.write(Buffer.concat([Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0]), megabyte]))
  while (budget.total < megabyte.length) await delay(5)
  for (let n = 0; n < 20; n++) other.client.send(megabyte)
  other.client.send('end', { binary: true })
  while (budget.total > megabyte.length + 100) await delay(5)
  assert.equal(other.client.readyState, WebSocket.OPEN)
  const ended = once(begun.client, 'close')
  other.client.send(Buffer.alloc(5 * megabyte.length))
  await ended
})
