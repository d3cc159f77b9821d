// The client's side of SCRAM-SHA-256 (RFC 5802, 7677), without channel binding: the server is on the other end of a Unix socket.
//
// postgres: src/interfaces/libpq/fe-auth-scram.c. The user name inside the exchange stays empty: Postgres takes the one from the
// startup packet.

import { randomBytes, timingSafeEqual } from 'node:crypto'
import { ProtocolError } from './protocol-error.ts'
import { deriveKeys, hmacSha256, sha256, type ScramKeys } from './scram-keys.ts'

export const scramSha256 = 'SCRAM-SHA-256'

const gs2Header = 'n,,'
/** Postgres' default is 4096; a server that asks for millions would only burn our time. */
const mostIterations = 1_000_000

/** A password, or the keys that an earlier exchange for the same verifier yielded. */
export type ScramSecret = string | ScramKeys

export class ScramClient {
  readonly #secret: ScramSecret
  readonly #nonce: string
  #expectedServerSignature: Buffer | undefined

  constructor(secret: ScramSecret, nonce: string = randomBytes(18).toString('base64')) {
    this.#secret = secret
    this.#nonce = nonce
  }

  first(): string {
    return `${gs2Header}n=,r=${this.#nonce}`
  }

  /** Answers the server's first message with the proof. */
  async final(serverFirst: string): Promise<string> {
    const match = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/=]+),i=([0-9]{1,9})$/.exec(serverFirst)
    if (!match) throw new ProtocolError('SCRAM: cannot read the server-first message')
    const [, nonce = '', saltText = '', iterationsText = ''] = match
    const iterations = Number(iterationsText)
    if (!nonce.startsWith(this.#nonce) || nonce === this.#nonce) throw new ProtocolError('SCRAM: the nonce is not ours')
    if (iterations < 1 || iterations > mostIterations) throw new ProtocolError('SCRAM: unreasonable iteration count')

    const { clientKey, serverKey } =
      typeof this.#secret === 'string'
        ? await deriveKeys(this.#secret, Buffer.from(saltText, 'base64'), iterations)
        : this.#secret
    const withoutProof = `c=${Buffer.from(gs2Header).toString('base64')},r=${nonce}`
    const authMessage = `n=,r=${this.#nonce},${serverFirst},${withoutProof}`
    const signature = hmacSha256(sha256(clientKey), authMessage)
    const proof = Buffer.from(clientKey.map((byte, at) => byte ^ (signature[at] ?? 0)))
    this.#expectedServerSignature = hmacSha256(serverKey, authMessage)
    return `${withoutProof},p=${proof.toString('base64')}`
  }

  /** Throws unless the server has proved that it knows the verifier. */
  verify(serverFinal: string): void {
    const signature = Buffer.from(/^v=([A-Za-z0-9+/=]+)$/.exec(serverFinal)?.[1] ?? '', 'base64')
    const expected = this.#expectedServerSignature
    if (!expected || signature.length !== expected.length || !timingSafeEqual(signature, expected)) {
      throw new ProtocolError('SCRAM: the server did not prove itself')
    }
  }
}
