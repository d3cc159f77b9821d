// Makes X.509 certificates: ECDSA over P-256 with SHA-256, nothing else (RFC 5280, 5480).
//
// SHA-256 matters beyond taste: SCRAM's channel binding `tls-server-end-point` hashes with the certificate's own signature hash.

import { createHash, createPublicKey, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import { isIP } from 'node:net'
import {
  bitString,
  boolean,
  explicit,
  implicit,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  set,
  time,
  utf8String,
  type Der,
} from './der.ts'

export type Issuer = { commonName: string; key: KeyObject }

export type CertificateRequest = {
  commonName: string
  publicKey: KeyObject
  notBefore: Date
  notAfter: Date
  kind: { authority: true } | { authority: false; names: readonly string[] }
}

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/** The certificate as PEM, signed by the issuer. */
export function issueCertificate(request: CertificateRequest, issuer: Issuer): string {
  const algorithm = sequence(objectIdentifier('1.2.840.10045.4.3.2'))
  const body = sequence(
    explicit(0, integer(Buffer.of(2))),
    integer(serialNumber()),
    algorithm,
    distinguishedName(issuer.commonName),
    sequence(time(request.notBefore), time(request.notAfter)),
    distinguishedName(request.commonName),
    publicKeyInfo(request.publicKey),
    explicit(3, sequence(...extensions(request, issuer))),
  )
  const certificate = sequence(body, algorithm, bitString(sign('sha256', body, issuer.key)))
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}

function serialNumber(): Buffer {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes
}

function distinguishedName(commonName: string): Der {
  const organization = sequence(objectIdentifier('2.5.4.10'), utf8String('pgrove'))
  return sequence(set(organization), set(sequence(objectIdentifier('2.5.4.3'), utf8String(commonName))))
}

function publicKeyInfo(key: KeyObject): Der {
  return createPublicKey(key).export({ type: 'spki', format: 'der' })
}

function keyIdentifier(key: KeyObject): Buffer {
  return createHash('sha256').update(publicKeyInfo(key)).digest().subarray(0, 20)
}

function extensions(request: CertificateRequest, issuer: Issuer): Der[] {
  const subjectKey = extension('2.5.29.14', false, octetString(keyIdentifier(request.publicKey)))
  const authorityKey = extension('2.5.29.35', false, sequence(implicit(0, keyIdentifier(issuer.key))))
  if (request.kind.authority) {
    return [
      // May sign leaves and no further authority.
      extension('2.5.29.19', true, sequence(boolean(true), integer(Buffer.of(0)))),
      extension('2.5.29.15', true, bitString(Buffer.of(0b0000_0110), 1)),
      subjectKey,
      authorityKey,
    ]
  }
  return [
    extension('2.5.29.19', true, sequence()),
    extension('2.5.29.15', true, bitString(Buffer.of(0b1000_0000), 7)),
    extension('2.5.29.37', false, sequence(objectIdentifier('1.3.6.1.5.5.7.3.1'))),
    extension('2.5.29.17', false, sequence(...request.kind.names.map(generalName))),
    subjectKey,
    authorityKey,
  ]
}

function extension(id: string, critical: boolean, value: Der): Der {
  return sequence(objectIdentifier(id), ...(critical ? [boolean(true)] : []), octetString(value))
}

function generalName(name: string): Der {
  return isIP(name) ? implicit(7, addressBytes(name)) : implicit(2, Buffer.from(name))
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number))
  const [head = '', tail] = address.split('::')
  const [before, after] = [groups(head), groups(tail ?? '')]
  const all = tail === undefined ? before : [...before, ...Array(8 - before.length - after.length).fill(0), ...after]
  return Buffer.from(all.flatMap((group: number) => [group >> 8, group & 0xff]))
}

function groups(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => parseInt(group, 16))
}
