import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer } from 'node:tls'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { isAppError } from '../model/errors.ts'
import { ensureCertificates } from './certificates.ts'
import { issueCertificate, newKey } from './x509.ts'

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'pgrove-tls-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return join(path, 'tls')
}

const yearsLater = (years: number): Date => new Date(Date.now() + years * 365 * 86_400_000)

test('a client that trusts the authority verifies every promised name', async (t) => {
  const { cert, key, caFile } = await ensureCertificates(await folder(t), { domains: ['db.example.test'] })
  const ca = await readFile(caFile ?? '')
  const server = createServer({ cert, key }, (socket) => socket.end('hello'))
  t.after(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  for (const servername of ['ep-a.db.example.test', 'db.example.test', 'localhost', undefined]) {
    const client = connect({ port, host: '127.0.0.1', ca, ...(servername === undefined ? {} : { servername }) })
    const [text] = (await once(client, 'data')) as [Buffer]
    assert.equal(String(text), 'hello')
    client.destroy()
  }
})

test('a certificate names itself, and signs with SHA-256', async (t) => {
  const made = await ensureCertificates(await folder(t), { domains: ['db.example.test'] })
  const leaf = new X509Certificate(made.cert)
  const ca = new X509Certificate(await readFile(made.caFile ?? ''))
  assert.ok(leaf.checkIssued(ca))
  assert.ok(ca.ca && !leaf.ca)
  assert.match(
    leaf.subjectAltName ?? '',
    /DNS:\*\.db\.example\.test.*IP Address:127\.0\.0\.1.*IP Address:0:0:0:0:0:0:0:1/,
  )
  assert.equal(leaf.signatureAlgorithm, 'ecdsa-with-SHA256')
})

test('asking again changes nothing', async (t) => {
  const path = await folder(t)
  const first = await ensureCertificates(path, { domains: ['a.test'] })
  assert.deepEqual(await ensureCertificates(path, { domains: ['a.test'] }), first)
})

test('another domain and a near expiry get a new certificate from the same authority', async (t) => {
  const path = await folder(t)
  const first = await ensureCertificates(path, { domains: ['a.test'] })
  const ca = await readFile(join(path, 'ca.crt'), 'utf8')
  const moved = await ensureCertificates(path, { domains: ['b.test'] })
  assert.notEqual(moved.cert, first.cert)
  const renewed = await ensureCertificates(path, { domains: ['b.test'], now: yearsLater(2.1) })
  assert.notEqual(renewed.cert, moved.cert)
  assert.equal(await readFile(join(path, 'ca.crt'), 'utf8'), ca)
})

test('an authority about to expire is replaced', async (t) => {
  const path = await folder(t)
  await ensureCertificates(path, { domains: ['a.test'] })
  const ca = await readFile(join(path, 'ca.crt'), 'utf8')
  const late = await ensureCertificates(path, { domains: ['a.test'], now: yearsLater(9) })
  const newCa = await readFile(join(path, 'ca.crt'), 'utf8')
  assert.notEqual(newCa, ca)
  assert.ok(new X509Certificate(late.cert).verify(new X509Certificate(newCa).publicKey))
})

test('whatever a crash leaves behind is completed', async (t) => {
  for (const lost of [['ca.key'], ['ca.crt'], ['server.key'], ['server.crt', 'server.key'], ['ca.key', 'server.key']]) {
    const path = await folder(t)
    await ensureCertificates(path, { domains: ['a.test'] })
    if (lost[0] === 'ca.crt') await rm(join(path, 'server.crt')).then(() => rm(join(path, 'server.key')))
    for (const name of lost) await rm(join(path, name), { force: true })
    const { cert, key } = await ensureCertificates(path, { domains: ['a.test'] })
    const ca = new X509Certificate(await readFile(join(path, 'ca.crt')))
    assert.ok(new X509Certificate(cert).verify(ca.publicKey), lost.join())
    createServer({ cert, key }).close()
  }
})

test("an operator's own files are left alone, and refused where they cannot work", async (t) => {
  const path = await folder(t)
  await ensureCertificates(path, { domains: ['a.test'] })
  const key = newKey()
  const theirs = await issueCertificate(
    {
      commonName: 'theirs',
      publicKey: key,
      notBefore: new Date(0),
      notAfter: yearsLater(30),
      kind: { authority: false, names: ['theirs.test'] },
    },
    { commonName: 'their CA', key },
  )
  await writeFile(join(path, 'server.crt'), theirs)
  await assert.rejects(ensureCertificates(path, { domains: ['a.test'] }), (error) =>
    isAppError(error, 'config_invalid'),
  )
  const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString()
  await writeFile(join(path, 'server.key'), pem)
  const served = await ensureCertificates(path, { domains: ['a.test'] })
  assert.deepEqual([served.cert, served.key, served.caFile], [theirs, pem, undefined])
  await rm(join(path, 'server.crt'))
  await assert.rejects(ensureCertificates(path, { domains: ['a.test'] }), (error) =>
    isAppError(error, 'config_invalid'),
  )
})

test('keys are readable by nobody else, those of an older version too', async (t) => {
  const path = await folder(t)
  await ensureCertificates(path, { domains: ['a.test'] })
  await chmod(join(path, 'server.key'), 0o640)
  await ensureCertificates(path, { domains: ['a.test'] })
  assert.equal((await stat(join(path, 'ca.key'))).mode & 0o777, 0o600)
  assert.equal((await stat(join(path, 'server.key'))).mode & 0o777, 0o600)
})
