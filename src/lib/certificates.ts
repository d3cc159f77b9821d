// The certificates that everything under TLS is served with: a certificate authority of this installation's own, and a wildcard
// certificate that it signed. Made at first start, made anew before they expire or when the domains change.
//
// An operator may put files of their own in place of `server.crt` and `server.key`: what our authority did not sign is never
// touched. The authority stays the same as long as it can, since people have told their clients to trust it.
// Written in an order that survives a crash anywhere: the certificate always comes before its key, so a pair that does not match
// and is ours is made again, and a key without a certificate is never ours.

import { chmod, mkdir } from 'node:fs/promises'
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { AppError } from '../model/errors.ts'
import { readIfThere, writeDurably } from './durable-file.ts'
import type { Issuer } from './x509.ts'

export type Certificates = {
  /** PEM, for the listeners. */
  cert: string
  key: string
  /** What clients have to trust; undefined where the operator's own certificate is in place. */
  caFile: string | undefined
  certFile: string
  keyFile: string
}

export type CertificateOptions = {
  domains: readonly string[]
  now?: Date
}

const day = 86_400_000
const authorityDays = 3650
/** Apple's clients take no more than 825 days from a private authority. */
const leafDays = 820
/** A server that is not restarted for so long goes on with an expired certificate. */
const renewLeafDays = 90
const renewAuthorityDays = leafDays
const clockSkewMs = day
const authorityName = 'pgrove local CA'

type Pair = { certificate: X509Certificate; cert: string; key: KeyObject; keyText: string }

/** Throws `config_invalid` where files that are not ours cannot be used. */
export async function ensureCertificates(folder: string, options: CertificateOptions): Promise<Certificates> {
  const now = options.now ?? new Date()
  const path = (name: string): string => join(folder, name)
  await mkdir(folder, { recursive: true, mode: 0o755 })
  const [caCert, caKey, cert, key] = await Promise.all(
    ['ca.crt', 'ca.key', 'server.crt', 'server.key'].map((name) => readIfThere(path(name))),
  )
  const files = { certFile: path('server.crt'), keyFile: path('server.key') }
  const authority = readPair(caCert, caKey)
  const names = namesFor(options.domains)

  if (cert === undefined && key !== undefined) {
    throw new AppError(
      'config_invalid',
      `${files.keyFile} is there without server.crt: add the certificate or remove the key`,
    )
  }
  if (cert !== undefined && !isSignedBy(cert, caCert)) {
    return { ...(await readOperatorsPair(cert, key, files)), caFile: undefined, ...files }
  }

  const served = readPair(cert, key)
  const stillGood =
    authority &&
    served &&
    expiresAfter(authority.certificate, now, renewLeafDays) &&
    expiresAfter(served.certificate, now, renewLeafDays) &&
    names.every((name) => hasName(served.certificate, name))
  if (stillGood) {
    await chmod(files.keyFile, 0o600)
    return { cert: served.cert, key: served.keyText, caFile: path('ca.crt'), ...files }
  }

  const signer =
    authority && expiresAfter(authority.certificate, now, renewAuthorityDays)
      ? { commonName: authorityName, key: authority.key }
      : await makeAuthority(folder, now)
  const leaf = await makeLeaf(signer, names, now)
  await writeDurably(files.certFile, leaf.cert, 0o644)
  await writeDurably(files.keyFile, leaf.key, 0o600)
  return { ...leaf, caFile: path('ca.crt'), ...files }
}

function namesFor(domains: readonly string[]): string[] {
  const all = domains.flatMap((domain) => [`*.${domain}`, domain])
  return [...new Set([...all, '*.localhost', 'localhost', '127.0.0.1', '::1'])]
}

async function makeAuthority(folder: string, now: Date): Promise<Issuer> {
  const { issueCertificate, newKey } = await import('./x509.ts')
  const issuer = { commonName: authorityName, key: newKey() }
  const cert = await issueCertificate(
    {
      commonName: authorityName,
      publicKey: issuer.key,
      notBefore: new Date(now.getTime() - clockSkewMs),
      notAfter: new Date(now.getTime() + authorityDays * day),
      kind: { authority: true },
    },
    issuer,
  )
  await writeDurably(join(folder, 'ca.key'), exportKey(issuer.key), 0o600)
  await writeDurably(join(folder, 'ca.crt'), cert, 0o644)
  return issuer
}

async function makeLeaf(signer: Issuer, names: readonly string[], now: Date): Promise<{ cert: string; key: string }> {
  const { issueCertificate, newKey } = await import('./x509.ts')
  const key = newKey()
  const cert = await issueCertificate(
    {
      // Clients go by the alternative names; a common name of more than 64 characters would be invalid.
      commonName: names[0] !== undefined && names[0].length <= 64 ? names[0] : 'pgrove',
      publicKey: key,
      notBefore: new Date(now.getTime() - clockSkewMs),
      notAfter: new Date(now.getTime() + leafDays * day),
      kind: { authority: false, names },
    },
    signer,
  )
  return { cert, key: exportKey(key) }
}

function exportKey(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** Undefined where one of the two is missing, unreadable or not the other's. */
function readPair(cert: string | undefined, key: string | undefined): Pair | undefined {
  if (cert === undefined || key === undefined) return undefined
  try {
    const certificate = new X509Certificate(cert)
    const privateKey = createPrivateKey(key)
    return certificate.checkPrivateKey(privateKey) ? { certificate, cert, key: privateKey, keyText: key } : undefined
  } catch {
    return undefined
  }
}

async function readOperatorsPair(
  cert: string,
  key: string | undefined,
  files: { certFile: string; keyFile: string },
): Promise<{ cert: string; key: string }> {
  if (key === undefined) {
    throw new AppError('config_invalid', `${files.certFile} is not pgrove's own and has no server.key beside it`)
  }
  let matches: boolean
  try {
    matches = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))
  } catch (cause) {
    throw new AppError('config_invalid', `${files.certFile} and server.key cannot be read as PEM`, { cause })
  }
  if (!matches) throw new AppError('config_invalid', `${files.keyFile} is not the key of server.crt`)
  return { cert, key }
}

function isSignedBy(cert: string, caCert: string | undefined): boolean {
  if (caCert === undefined) return false
  try {
    return new X509Certificate(cert).verify(new X509Certificate(caCert).publicKey)
  } catch {
    return false
  }
}

function expiresAfter(certificate: X509Certificate, now: Date, days: number): boolean {
  return certificate.validToDate.getTime() - now.getTime() > days * day
}

function hasName(certificate: X509Certificate, name: string): boolean {
  const names = (certificate.subjectAltName ?? '').split(', ')
  const address = name === '::1' ? '0:0:0:0:0:0:0:1' : name
  return names.includes(`DNS:${name}`) || names.includes(`IP Address:${address}`)
}
