// Cookies as a browser keeps them for one origin, for clients that know nothing of them.

/** Tests put ours in its place. */
const realFetch = globalThis.fetch

export class CookieJar {
  readonly cookies = new Map<string, string>()

  header(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  take(headers: Headers): void {
    for (const line of headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split(';')
      const at = pair.indexOf('=')
      const [name, value] = [pair.slice(0, at).trim(), pair.slice(at + 1).trim()]
      const isGone = attributes.some((one) => /^\s*max-age=0\s*$/i.test(one))
      if (isGone) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
  }

  /** `fetch` with these cookies, from a page of this origin. */
  fetchFrom(origin: string): typeof fetch {
    return async (input, init) => {
      const request = new Request(input, init)
      const headers = new Headers(request.headers)
      if (this.cookies.size > 0) headers.set('cookie', this.header())
      if (!headers.has('origin')) headers.set('origin', origin)
      const response = await realFetch(new Request(request, { headers }), { redirect: 'manual' })
      this.take(response.headers)
      return response
    }
  }
}
