// The server's side of SCRAM-SHA-256 and -PLUS (RFC 5802, 7677) against a verifier, with no I/O.
//
// postgres: src/backend/libpq/auth-scram.c. As there, the user name inside the exchange is ignored, and a channel is bound by
// `tls-server-end-point` (RFC 5929 §4). A client that says it could bind the channel and believes that we cannot, though we offered
// it, talks to us through somebody else (§6 of RFC 5802).

import { randomBytes, timingSafeEqual } from 'node:crypto'
import { ProtocolError } from './protocol-error.ts'
import { hmacSha256, sha256, type ScramKeys } from './scram-keys.ts'
import type { ScramVerifier } from './scram-verifier.ts'

export const scramMechanism = 'SCRAM-SHA-256'
export const scramPlusMechanism = 'SCRAM-SHA-256-PLUS'

export class ScramServer {
  readonly #verifier: ScramVerifier
  readonly #channelBinding: Buffer | undefined
  readonly #ownNonce: string
  #gs2Header = ''
  #clientFirstBare = ''
  #serverFirst = ''
  #boundChannel = false

  /** `channelBinding`: what the channel is bound to; undefined where it cannot be, and -PLUS is not offered. */
  constructor(
    verifier: ScramVerifier,
    channelBinding: Buffer | undefined,
    nonce: string = randomBytes(18).toString('base64'),
  ) {
    this.#verifier = verifier
    this.#channelBinding = channelBinding
    this.#ownNonce = nonce
  }

  /** In order of preference. */
  static mechanisms(channelBinding: Buffer | undefined): string[] {
    return channelBinding === undefined ? [scramMechanism] : [scramPlusMechanism, scramMechanism]
  }

  /** Answers the client's first message. Throws ProtocolError, also for a channel that is bound in another way than we can. */
  first(mechanism: string, clientFirst: string): string {
    if (!ScramServer.mechanisms(this.#channelBinding).includes(mechanism)) {
      throw new ProtocolError('SCRAM: a mechanism that was not offered')
    }
    const match = /^((?:n|y|p=([A-Za-z0-9.-]+)),(?:a=[^,]*)?,)((?:n=[^,]*),r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?)$/.exec(
      clientFirst,
    )
    if (!match) throw new ProtocolError('SCRAM: cannot read the client-first message')
    const [, gs2Header = '', binding, bare = '', nonce = ''] = match
    this.#boundChannel = binding !== undefined
    if (this.#boundChannel !== (mechanism === scramPlusMechanism)) {
      throw new ProtocolError('SCRAM: the mechanism and the channel binding flag disagree')
    }
    if (binding !== undefined && binding !== 'tls-server-end-point') {
      throw new ProtocolError('SCRAM: unsupported channel binding method')
    }
    if (gs2Header.startsWith('y') && this.#channelBinding !== undefined) {
      throw new ProtocolError('SCRAM: channel binding was offered and the client did not hear of it')
    }
    this.#gs2Header = gs2Header
    this.#clientFirstBare = bare
    const { salt, iterations } = this.#verifier
    this.#serverFirst = `r=${nonce}${this.#ownNonce},s=${salt.toString('base64')},i=${iterations}`
    return this.#serverFirst
  }

  /** Answers the client's final message; undefined where its proof is wrong. Throws ProtocolError. */
  final(clientFinal: string): { serverFinal: string; keys: ScramKeys } | undefined {
    const match = /^((?:c=([A-Za-z0-9+/=]+)),r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?),p=([A-Za-z0-9+/=]+)$/.exec(clientFinal)
    if (!match) throw new ProtocolError('SCRAM: cannot read the client-final message')
    const [, withoutProof = '', binding = '', nonce = '', proofText = ''] = match
    const expectedNonce = /^r=([^,]+)/.exec(this.#serverFirst)?.[1] ?? ''
    if (nonce !== expectedNonce) throw new ProtocolError('SCRAM: the nonce is not the one agreed on')
    const bound = Buffer.concat([
      Buffer.from(this.#gs2Header),
      this.#boundChannel && this.#channelBinding ? this.#channelBinding : Buffer.alloc(0),
    ])
    const given = Buffer.from(binding, 'base64')
    if (given.length !== bound.length || !timingSafeEqual(given, bound)) {
      throw new ProtocolError('SCRAM: the channel is bound to something else')
    }
    const proof = Buffer.from(proofText, 'base64')
    if (proof.length !== 32) throw new ProtocolError('SCRAM: the proof has a wrong length')
    const authMessage = `${this.#clientFirstBare},${this.#serverFirst},${withoutProof}`
    const { storedKey, serverKey } = this.#verifier
    const signature = hmacSha256(storedKey, authMessage)
    const clientKey = Buffer.from(proof.map((byte, at) => byte ^ (signature[at] ?? 0)))
    if (!timingSafeEqual(sha256(clientKey), storedKey)) return undefined
    return {
      serverFinal: `v=${hmacSha256(serverKey, authMessage).toString('base64')}`,
      keys: { clientKey, serverKey },
    }
  }
}
