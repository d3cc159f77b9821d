// What SCRAM-SHA-256-PLUS binds a login to: a hash of our certificate (RFC 5929 §4.1, `tls-server-end-point`).

import { createHash, X509Certificate } from 'node:crypto'

/** Undefined where the certificate's signature has no hash of its own (Ed25519): then nothing can be bound. `pem`: the leaf comes first. */
export function channelBindingOf(pem: string): Buffer | undefined {
  const certificate = new X509Certificate(pem)
  const signature = certificate.signatureAlgorithm?.toLowerCase() ?? ''
  const hash = /sha(?:-)?(224|256|384|512)/.exec(signature)?.[1]
  if (hash !== undefined) return createHash(`sha${hash}`).update(certificate.raw).digest()
  // Weak ones count as SHA-256.
  return /md5|sha-?1|sha1/.test(signature) ? createHash('sha256').update(certificate.raw).digest() : undefined
}
