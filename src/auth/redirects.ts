// Where browsers may be sent: the one place that decides it, for both surfaces.
//
// Whatever carries a code, a token or a user away asks here: `redirect_uri`, `callbackURL`, `after_callback_redirect_url`, links in mails.
// Browsers forgive much in a URL (backslashes, tabs, missing slashes, percent signs in hosts); whatever needs forgiving is refused, so
// that a string that passes means the same to everybody who reads it.

import type { AuthTarget } from '../model/auth-target.ts'
import { serviceRouteOf } from '../model/service-routes.ts'

/** What the decision is made from. */
export type RedirectRules = Pick<AuthTarget, 'baseUrl' | 'trustedDomains'> & {
  settings: Pick<AuthTarget['settings'], 'allowLocalhost'>
}

const longest = 4096

/** The URL where it may be gone to. `relative`: a path of our own origin will do as well. */
export function isTrustedRedirect(
  target: RedirectRules,
  url: string,
  options: { relative?: boolean } = {},
): URL | undefined {
  if (url.startsWith('/')) return options.relative === true ? ownPath(target, url) : undefined
  const parsed = plainUrl(url)
  if (parsed === undefined) return undefined
  return isOwn(target, parsed) || isTrustedHost(target, parsed) ? parsed : undefined
}

/** Whether pages of this origin may call with credentials: `Origin` headers, so nothing but an origin in its canonical form. */
export function isTrustedOrigin(target: RedirectRules, origin: string): boolean {
  const parsed = plainUrl(origin)
  if (parsed === undefined || parsed.origin !== origin) return false
  return parsed.origin === new URL(target.baseUrl).origin || isTrustedHost(target, parsed)
}

/** Same machine as the browser: no other site can be there. */
export function isLocalhost(hostname: string): boolean {
  return hostname === 'localhost' || hostname.endsWith('.localhost') || hostname === '127.0.0.1' || hostname === '[::1]'
}

/** One trusted domain, as it was given, against an origin. A wildcard stands for something within one label, and not in the last two. */
export function domainCovers(domain: string, url: URL): boolean {
  const pattern = /^(https?):\/\/([^/?#@\\%:[\]]+)(?::(\d{1,5}))?\/?$/i.exec(domain)
  if (pattern === null) return false
  const [, scheme = '', host = '', port = ''] = pattern
  if (`${scheme.toLowerCase()}:` !== url.protocol || toPort(scheme, port) !== url.port) return false
  if (!host.includes('*')) return canonicalHost(host) === url.hostname
  const wanted = host.toLowerCase().split('.')
  const labels = url.hostname.split('.')
  if (wanted.length !== labels.length || wanted.length < 3) return false
  if (wanted.slice(-2).some((label) => label.includes('*')) || /^\d+$/.test(wanted.at(-1) ?? '')) return false
  return wanted.every((label, at) => labelCovers(label, labels[at] ?? ''))
}

// oxlint-disable-next-line no-control-regex -- these are what is looked for
const neverInUrls = /[\u0000-\u0020\u007f-\u009f\u2028\u2029\\]/

function plainUrl(url: string): URL | undefined {
  if (url.length > longest || neverInUrls.test(url)) return undefined
  // Nothing in the authority that parsers disagree about: who is before an `@`, or hidden behind a percent sign.
  if (!/^https?:\/\/[^/?#@%]+(?:[/?#]|$)/i.test(url)) return undefined
  const parsed = URL.parse(url)
  return parsed === null || parsed.username !== '' || parsed.password !== '' ? undefined : parsed
}

function ownPath(target: RedirectRules, path: string): URL | undefined {
  if (path.length > longest || path.startsWith('//') || neverInUrls.test(path)) return undefined
  // A server behind us, or the router of an app, may decode these into what was just refused.
  if (/%2f|%5c/i.test(path.split(/[?#]/, 1)[0] ?? '')) return undefined
  const origin = new URL(target.baseUrl).origin
  const parsed = URL.parse(path, origin)
  if (parsed?.origin !== origin || parsed.pathname.startsWith('//')) return undefined
  // Another project's sign-in on the same host sends on to wherever that one wants.
  const isForeign = !isOwn(target, parsed) && serviceRouteOf(undefined, parsed.pathname, []) !== undefined
  return isForeign ? undefined : parsed
}

/** Below our own base URL: other projects may share its origin. */
function isOwn(target: RedirectRules, url: URL): boolean {
  const base = new URL(target.baseUrl)
  return url.origin === base.origin && `${url.pathname}/`.startsWith(`${base.pathname.replace(/\/$/, '')}/`)
}

function isTrustedHost(target: RedirectRules, url: URL): boolean {
  if (target.settings.allowLocalhost && isLocalhost(url.hostname)) return true
  return target.trustedDomains.some((domain) => domainCovers(domain, url))
}

function labelCovers(pattern: string, label: string): boolean {
  if (!pattern.includes('*')) return pattern === label
  const [before = '', after = '', ...more] = pattern.split('*')
  // One star a label: more of them say nothing that one does not, and this stays linear.
  if (more.length > 0 || label.length <= before.length + after.length) return false
  return label.startsWith(before) && label.endsWith(after)
}

function toPort(scheme: string, port: string): string {
  const number = port === '' ? '' : String(Number(port))
  return number === (scheme.toLowerCase() === 'https' ? '443' : '80') ? '' : number
}

function canonicalHost(host: string): string | undefined {
  return URL.parse(`http://${host}/`)?.hostname
}
