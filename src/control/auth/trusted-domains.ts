// What may be a trusted domain of an integration: where its users' browsers may be sent with a code or a token. Pure.
//
// `http(s)://host[:port]`, where a star may stand for part of a label, or for one, of names that one owner has all of: below
// `*.vercel.app` anybody may put up a page.

import { AppError } from '../../model/errors.ts'

const longest = 512

/** As it is kept and compared. Throws `bad_request`. */
export async function normalDomain(text: string): Promise<string> {
  const refuse = (problem: string): AppError =>
    new AppError('bad_request', `domain must be a scheme and a host such as https://app.example.com: ${problem}`)
  if (text.length > longest) throw refuse(`it is longer than ${longest} characters`)
  const [, scheme = '', host = '', port = '', path = ''] =
    /^(https?):\/\/([^/?#@\\%:[\]\s]+)(?::(\d{1,5}))?(.*)$/i.exec(text) ?? []
  if (host === '') throw refuse('it is none')
  if (path !== '' && path !== '/') throw refuse('it has a path, a query or a fragment')
  const parsed = URL.parse(`${scheme}://${host}${port === '' ? '' : `:${port}`}`)
  if (!parsed || parsed.hostname === '') throw refuse('the host is no name or address')
  if (parsed.hostname.endsWith('.')) throw refuse('the host ends in a dot')
  const labels = parsed.hostname.split('.')
  if (labels.some((label) => label === '' || label.split('*').length > 2))
    throw refuse('each part of the host has at most one star')
  if (parsed.hostname.includes('*')) await assertOneOwner(parsed.hostname, refuse)
  return parsed.origin
}

/** Stars stand to the left of what has to be registered to be had. */
async function assertOneOwner(host: string, refuse: (problem: string) => AppError): Promise<void> {
  // A list of thousands of names, that most installations never ask for.
  const { getDomain } = await import('tldts')
  const registered = getDomain(host.replaceAll('*', 'x'), { allowPrivateDomains: true })
  const fixed = registered === null ? 0 : registered.split('.').length
  const labels = host.split('.')
  if (registered !== null && fixed >= 2 && labels.slice(-fixed).every((label) => !label.includes('*'))) return
  throw refuse('a star may only stand below a domain of your own, as in https://*.preview.example.com')
}
