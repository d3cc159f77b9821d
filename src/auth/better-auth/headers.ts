// Names on the wire that several files here have to agree on.

/** Set by us on each request; what a client sends under this name is gone before. */
export const clientAddressHeader = 'x-pgrove-client-address'

export const cookieNames = {
  session: '__Secure-neon-auth.session_token',
  /** Misspelt by the first clients, and read by all of them. */
  challenge: '__Secure-neon-auth.session_challange',
  laterChallenge: '__Secure-neon-auth.session_challenge',
} as const

export const verifierParameter = 'neon_auth_session_verifier'

export function readCookie(headers: Headers, name: string): string | undefined {
  for (const part of (headers.get('cookie') ?? '').split(';')) {
    const at = part.indexOf('=')
    if (at > 0 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim() || undefined
  }
  return undefined
}
