// The page of the development identity provider: one form, no scripts, nothing from elsewhere.

import { createHash } from 'node:crypto'

export type RememberedAccount = { email: string; name: string; isVerified: boolean }

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 26rem; margin: 3rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: .25rem; }
h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
.note { opacity: .75; margin-top: 0; }
form { margin: 0; }
label { display: block; margin-top: .75rem; }
input:not([type=checkbox]) { box-sizing: border-box; width: 100%; padding: .5rem; font: inherit; }
button { font: inherit; padding: .5rem 1rem; margin: .75rem .5rem 0 0; cursor: pointer; }
ul { list-style: none; margin: 0; padding: 0; }
li button { width: 100%; text-align: left; margin: 0 0 .5rem; }
small { display: block; opacity: .75; }
`

const styleHash = createHash('sha256').update(style).digest('base64')

/** `form-action` is not among them: browsers apply it to where the answer of the form leads as well, which is the app. */
export const pageHeaders: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; frame-ancestors 'none'`,
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
}

/** `request`: what the form gives back as it is. */
export function consentPage(page: {
  providerName: string
  request: string
  emailHint: string
  accounts: readonly RememberedAccount[]
}): string {
  const title = `Sign in with ${page.providerName} — development`
  const hidden = `<input type="hidden" name="request" value="${escape(page.request)}">`
  const remembered = page.accounts.map(
    ({ email, name, isVerified }) => `<li><form method="post">${hidden}
<input type="hidden" name="email" value="${escape(email)}">
<input type="hidden" name="name" value="${escape(name)}">
${isVerified ? '<input type="hidden" name="verified" value="on">' : ''}
<button name="decision" value="allow">${escape(name || email)}<small>${escape(email)}${isVerified ? '' : ' (not verified)'}</small></button>
</form></li>`,
  )
  return document(
    title,
    `<main>
<h1>${escape(title)}</h1>
<p class="note">This is not ${escape(page.providerName)}. It stands in for it on this machine, and lets anybody in as anybody.</p>
${remembered.length === 0 ? '' : `<h2>Choose an account</h2>\n<ul>${remembered.join('\n')}</ul>\n<h2>Or use another one</h2>`}
<form method="post">${hidden}
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" maxlength="254" required value="${escape(page.emailHint)}">
<label for="name">Name</label>
<input id="name" name="name" autocomplete="name" maxlength="200">
<label><input name="verified" type="checkbox" checked> The address is verified</label>
<button name="decision" value="allow">Continue</button>
<button name="decision" value="deny" formnovalidate>Cancel</button>
</form>
</main>`,
  )
}

export function errorPage(message: string): string {
  return document('Sign-in is not possible', `<main><h1>Sign-in is not possible</h1><p>${escape(message)}</p></main>`)
}

function document(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(title)}</title><style>${style}</style></head>
<body>
${body}
</body>
</html>
`
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '')
}
