// A page for whoever opens the surface in a browser: where things are. It runs no script; a viewer for the schema is the reader's own.

import type { AuthTarget } from '../../model/auth-target.ts'

export function referencePage({ baseUrl }: AuthTarget): Response {
  const links = [
    ['open-api/generate-schema', 'every operation, as an OpenAPI document'],
    ['.well-known/jwks.json', 'public keys of the tokens'],
    ['ok', 'whether this answers'],
  ]
  const rows = links.map(([path, what]) => `<li><a href="${baseUrl}/${path}"><code>/${path}</code></a> — ${what}</li>`)
  return new Response(
    `<!doctype html><meta charset="utf-8"><title>Sign-in</title>
<style>body{font:16px/1.5 system-ui;max-width:42rem;margin:4rem auto;padding:0 1rem}</style>
<h1>Sign-in for apps</h1><p>Base URL: <code>${baseUrl}</code></p><ul>${rows.join('')}</ul>`,
    { headers: { 'content-type': 'text/html; charset=utf-8' } },
  )
}
