// Makes X.509 certificates: ECDSA over P-256 with SHA-256, nothing else (RFC 5280, 5480).
//
// SHA-256 matters beyond taste: SCRAM's channel binding `tls-server-end-point` hashes with the certificate's own signature hash. The
// library behind it costs 25 MB of memory, so whoever needs a certificate imports this file at that moment, and most starts do not.

// The library's dependency injection needs it to be there first.
import 'reflect-metadata'
import { createPublicKey, generateKeyPairSync, type KeyObject, type webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
  type Extension,
} from '@peculiar/x509'

export type Issuer = { commonName: string; key: KeyObject }

export type CertificateRequest = {
  commonName: string
  publicKey: KeyObject
  notBefore: Date
  notAfter: Date
  kind: { authority: true } | { authority: false; names: readonly string[] }
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/** The certificate as PEM, signed by the issuer. */
export async function issueCertificate(request: CertificateRequest, issuer: Issuer): Promise<string> {
  const certificate = await X509CertificateGenerator.create({
    subject: distinguishedName(request.commonName),
    issuer: distinguishedName(issuer.commonName),
    notBefore: request.notBefore,
    notAfter: request.notAfter,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    publicKey: publicHalf(request.publicKey),
    signingKey: issuer.key.toCryptoKey(algorithm, false, ['sign']),
    extensions: await extensions(request, issuer),
  })
  return `${certificate.toString('pem')}\n`
}

function publicHalf(key: KeyObject): webcrypto.CryptoKey {
  return createPublicKey(key).toCryptoKey(algorithm, true, ['verify'])
}

function distinguishedName(commonName: string): { [field: string]: string[] }[] {
  return [{ O: ['pgrove'] }, { CN: [commonName] }]
}

async function extensions(request: CertificateRequest, issuer: Issuer): Promise<Extension[]> {
  const keys = [
    await SubjectKeyIdentifierExtension.create(publicHalf(request.publicKey)),
    await AuthorityKeyIdentifierExtension.create(publicHalf(issuer.key)),
  ]
  if (request.kind.authority) {
    return [
      // May sign leaves and no further authority.
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ...keys,
    ]
  }
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
    new SubjectAlternativeNameExtension(
      request.kind.names.map((name) => ({ type: isIP(name) ? ('ip' as const) : ('dns' as const), value: name })),
    ),
    ...keys,
  ]
}
