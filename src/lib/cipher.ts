// Everything that hangs on the master key: encryption at rest and derived secrets.

import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { AppError } from '../model/errors.ts'

export class Cipher {
  readonly #encryptionKey: Buffer
  readonly #derivationKey: Buffer

  /** `masterKey`: at least 32 bytes of randomness. */
  constructor(masterKey: Buffer) {
    this.#encryptionKey = Buffer.from(hkdfSync('sha256', masterKey, '', 'pgrove encryption', 32))
    this.#derivationKey = Buffer.from(hkdfSync('sha256', masterKey, '', 'pgrove derivation', 32))
  }

  /** AES-256-GCM: nonce (12 bytes), tag (16), ciphertext. `context` has to be the same when it is opened: a value cannot be moved elsewhere. */
  seal(text: string, context: string): Buffer {
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', this.#encryptionKey, nonce).setAAD(Buffer.from(context))
    const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    return Buffer.concat([nonce, cipher.getAuthTag(), body])
  }

  /** Throws `master_key_wrong` on a value that another key sealed, or that was sealed for another place. */
  open(sealed: Uint8Array, context: string): string {
    const bytes = Buffer.from(sealed)
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#encryptionKey, bytes.subarray(0, 12))
        .setAAD(Buffer.from(context))
        .setAuthTag(bytes.subarray(12, 28))
      return decipher.update(bytes.subarray(28), undefined, 'utf8') + decipher.final('utf8')
    } catch (cause) {
      throw new AppError('master_key_wrong', 'a stored secret cannot be read with this master key', { cause })
    }
  }

  /** 256 bits that only the holder of the master key can compute, as URL-safe text. */
  derive(purpose: string): string {
    return createHmac('sha256', this.#derivationKey).update(purpose).digest('base64url')
  }
}
