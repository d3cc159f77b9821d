// The page: Neon's own auth client against pgrove, and this app's two routes. Bundled by `main.ts`.

import { createAuthClient } from '@neondatabase/auth'

const { authUrl } = await (await fetch('/config.json')).json()
const auth = createAuthClient(authUrl)

const byId = (id) => document.getElementById(id)
const say = (text) => (byId('status').textContent = text)
const fieldsOf = (form) => Object.fromEntries(new FormData(form))

/** Signed by pgrove, good for a quarter of an hour, renewed with the session. */
let token

async function show() {
  const { data } = await auth.getSession()
  token = data?.session?.token
  byId('outside').hidden = Boolean(data?.user)
  byId('inside').hidden = !data?.user
  byId('who').textContent = data?.user?.email ?? ''
  if (data?.user) await showNotes()
}

/** `note`: is written; without one, notes are read. */
async function call(note) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const response = await (note
    ? fetch('/api/notes', { method: 'POST', headers, body: JSON.stringify(note) })
    : fetch('/api/notes', { headers }))
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.message)
  return answer
}

async function showNotes() {
  const items = (await call()).map(({ what }) => {
    const item = document.createElement('li')
    item.textContent = what
    return item
  })
  byId('notes').replaceChildren(...items)
}

/** What a button does; its failure is said, not thrown. */
async function perform(act, element) {
  say('')
  try {
    const { error } = (await act(element)) ?? {}
    if (error) say(error.message ?? 'that did not work')
  } catch (error) {
    say(error.message)
  }
}

function on(id, type, act) {
  byId(id).addEventListener(type, (event) => {
    event.preventDefault()
    void perform(act, event.currentTarget)
  })
}

on('sign-up', 'submit', async (form) => {
  const { error } = await auth.signUp.email({ ...fieldsOf(form), callbackURL: location.origin })
  if (!error) say('We have sent you an e-mail. Follow the link in it, then sign in.')
  return { error }
})
on('sign-in', 'submit', async (form) => {
  const { error } = await auth.signIn.email(fieldsOf(form))
  if (!error) await show()
  return { error }
})
on('google', 'click', () => auth.signIn.social({ provider: 'google', callbackURL: `${location.origin}/` }))
on('sign-out', 'click', async () => {
  const { error } = await auth.signOut()
  if (!error) await show()
  return { error }
})
on('write', 'submit', async (form) => {
  await call(fieldsOf(form))
  form.reset()
  await showNotes()
})

await show()
document.body.dataset.ready = 'yes'
