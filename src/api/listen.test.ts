import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLogger } from '../lib/logger.ts'
import { contractCacheFolder } from './contract/coverage-page.ts'
import { loadContract } from './contract/load.ts'
import { fakeControl, validKey } from './fake-control.ts'
import { listen } from './listen.ts'
import { createApiServer } from './server.ts'

const contract = await loadContract({ cacheFolder: contractCacheFolder() })
const create = () => createApiServer({ control: fakeControl(), contract, log: silentLogger })

async function getRegions(socketPath: string): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    // A kept connection would reach the server that it was made to, whoever holds the name now.
    const options = {
      agent: false,
      socketPath,
      path: '/api/v2/regions',
      headers: { authorization: `Bearer ${validKey}` },
    }
    request(options, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode))
    })
      .on('error', reject)
      .end()
  })
}

test('the API listens on a Unix socket with the mode it is given, in the place of what a killed predecessor left', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'pgrove-api-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const socketPath = join(folder, 'api.sock')
  await writeFile(socketPath, 'left behind')

  const listening = await listen(create(), { socketPath, mode: 0o660 })
  t.after(() => listening.close())
  assert.equal(listening.address, socketPath)
  assert.equal((await stat(socketPath)).mode & 0o777, 0o660)
  assert.equal(await getRegions(socketPath), 200)

  const successor = await listen(create(), { socketPath, mode: 0o600 })
  t.after(() => successor.close())
  await listening.close()
  assert.equal(await getRegions(socketPath), 200, 'closing the first leaves the socket of the second')
  await successor.close()
  await assert.rejects(stat(socketPath), { code: 'ENOENT' })
})

test('what is not HTTP is answered in the form of the API', async (t) => {
  const listening = await listen(create(), { host: '127.0.0.1', port: 0 })
  t.after(() => listening.close())
  const port = Number(new URL(listening.address).port)
  const exchange = async (sent: string): Promise<string> => {
    const socket = connect(port, '127.0.0.1', () => socket.write(sent))
    let received = ''
    for await (const part of socket) received += String(part)
    return received
  }
  assert.match(
    await exchange('nonsense\r\n\r\n'),
    /^HTTP\/1\.1 400 Bad Request[^]*\{"code":"","message":"invalid request/,
  )
  assert.match(
    await exchange(`GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
    /^HTTP\/1\.1 431 [^]*"message":/,
  )
})
