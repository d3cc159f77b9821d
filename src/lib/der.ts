// DER, as much of it as a certificate needs (X.690). Values in, bytes out; reading is left to node:crypto.

export type Der = Buffer

function element(tag: number, body: Buffer): Der {
  if (body.length < 128) return Buffer.concat([Buffer.of(tag, body.length), body])
  const length: number[] = []
  for (let rest = body.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest & 0xff)
  return Buffer.concat([Buffer.of(tag, 0x80 | length.length, ...length), body])
}

export const sequence = (...items: Der[]): Der => element(0x30, Buffer.concat(items))
export const set = (...items: Der[]): Der => element(0x31, Buffer.concat(items))
export const octetString = (bytes: Buffer): Der => element(0x04, bytes)
export const utf8String = (text: string): Der => element(0x0c, Buffer.from(text))
export const boolean = (value: boolean): Der => element(0x01, Buffer.of(value ? 0xff : 0))
/** `[number] EXPLICIT`. */
export const explicit = (number: number, item: Der): Der => element(0xa0 | number, item)
/** `[number] IMPLICIT` over a primitive type. */
export const implicit = (number: number, bytes: Buffer): Der => element(0x80 | number, bytes)

/** A non-negative integer from its big-endian bytes. */
export function integer(bytes: Buffer): Der {
  let at = 0
  while (at < bytes.length - 1 && bytes[at] === 0) at++
  const trimmed = bytes.subarray(at)
  return element(0x02, (trimmed[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.of(0), trimmed]) : trimmed)
}

export function bitString(bytes: Buffer, unusedBits = 0): Der {
  return element(0x03, Buffer.concat([Buffer.of(unusedBits), bytes]))
}

export function objectIdentifier(dotted: string): Der {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes: number[] = []
  for (const arc of [first * 40 + second, ...rest]) {
    const septets = [arc & 0x7f]
    for (let left = arc >>> 7; left > 0; left >>>= 7) septets.unshift((left & 0x7f) | 0x80)
    bytes.push(...septets)
  }
  return element(0x06, Buffer.from(bytes))
}

/** Certificates write years up to 2049 in two digits and later ones in four (RFC 5280 §4.1.2.5). */
export function time(at: Date): Der {
  const digits = at.toISOString().replace(/[-:T]|\.\d+/g, '')
  return at.getUTCFullYear() < 2050 ? element(0x17, Buffer.from(digits.slice(2))) : element(0x18, Buffer.from(digits))
}
