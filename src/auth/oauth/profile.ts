// Who somebody is, by what his provider says of him. Pure: claims and answers in, a profile out.
//
// The one question that accounts hang on is whether the address is really his. Each provider says so in its own way, and what is not
// said is no.

export type OauthProfile = {
  /** Stays his for good, unlike address and name. */
  subject: string
  email: string | undefined
  emailVerified: boolean
  name: string | undefined
  image: string | undefined
}

export type Claims = Readonly<Record<string, unknown>>

/** OpenID Connect: google, vercel, and the development provider. */
export function standardProfile(claims: Claims): OauthProfile | undefined {
  return profile(claims['sub'], claims['email'], isTrue(claims['email_verified']), claims['name'], claims['picture'])
}

/**
 * Microsoft's `email` is whatever the administrator of some directory wrote there, so anybody who owns a directory can claim any
 * address: only `xms_edov` says that its domain was verified. `email_verified` is not one of its claims, and not believed.
 */
export function microsoftProfile(claims: Claims): OauthProfile | undefined {
  return profile(claims['sub'], claims['email'], isTrue(claims['xms_edov']), claims['name'], undefined)
}

/** `/user` and `/user/emails`: the address in the former is a public one, the latter knows which are verified. */
export function githubProfile(user: Claims, emails: unknown): OauthProfile | undefined {
  const listed = Array.isArray(emails) ? emails.filter(isClaims) : []
  const primary = listed.find((email) => email['primary'] === true)
  const best =
    primary?.['verified'] === true ? primary : (listed.find((email) => email['verified'] === true) ?? primary)
  const address = best?.['email'] ?? user['email']
  const name = text(user['name'], 255) ?? user['login']
  return profile(user['id'], address, best?.['verified'] === true, name, user['avatar_url'])
}

export function isClaims(value: unknown): value is Claims {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function profile(
  subject: unknown,
  email: unknown,
  emailVerified: boolean,
  name: unknown,
  image: unknown,
): OauthProfile | undefined {
  const id = typeof subject === 'number' && Number.isSafeInteger(subject) ? String(subject) : text(subject, 255)
  if (id === undefined) return undefined
  const address = toAddress(email)
  return {
    subject: id,
    email: address,
    emailVerified: emailVerified && address !== undefined,
    name: text(name, 255),
    image: toImage(image),
  }
}

/** As users are kept: one spelling an address. */
function toAddress(email: unknown): string | undefined {
  const address = text(email, 256)?.normalize('NFKC').toLowerCase()
  return address !== undefined && /^[^\s@<>"]+@[^\s@<>"]+$/.test(address) && !address.endsWith('.invalid')
    ? address
    : undefined
}

function toImage(image: unknown): string | undefined {
  const url = text(image, 2048)
  return url !== undefined && URL.parse(url)?.protocol === 'https:' ? url : undefined
}

/** Text that a column takes and a mail's header survives. */
function text(value: unknown, longest: number): string | undefined {
  if (typeof value !== 'string') return undefined
  // oxlint-disable-next-line no-control-regex -- these are what is taken out
  const plain = value.replaceAll(/[\u0000-\u001f\u007f]/g, '').trim()
  return plain === '' || plain.length > longest ? undefined : plain
}

function isTrue(value: unknown): boolean {
  return value === true || value === 'true' || value === 1 || value === '1'
}
