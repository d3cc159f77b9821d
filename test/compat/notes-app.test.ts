// examples/notes-app in a real browser: sign up, the link in the mail, sign in, sign in with Google; everybody sees his own rows only.

import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { browserObstacle, openBrowser } from '../support/browser.ts'
import { eventually } from '../support/eventually.ts'
import { skipUnless } from '../support/programs.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, packageRoot, request, startServer, type TestServer } from '../support/server.ts'

const skip = skipUnless(browserObstacle)
const patienceMs = 60_000

let server: TestServer
let app: ChildProcess
let output = ''
let browser: Browser

before(async () => {
  if (skip.skip !== undefined) return
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  app = spawn(process.execPath, [join(packageRoot, 'examples', 'notes-app', 'main.ts')], {
    env: { ...process.env, PGROVE_API_URL: server.apiUrl, NEON_API_KEY: server.apiKey, PORT: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  for (const stream of [app.stdout, app.stderr]) stream?.setEncoding('utf8').on('data', (text) => (output += text))
  await eventually('the app to listen', async () => /^ready$/m.test(output), patienceMs)
  browser = await openBrowser()
})
after(async () => {
  if (skip.skip !== undefined) return
  await using _ = server
  await browser?.close()
  const ended = once(app, 'exit')
  app.kill('SIGTERM')
  await ended
  assert.match(output, /the project is deleted/)
  await assertQuiet(server)
})

const appUrl = (): string => /^app +(\S+)$/m.exec(output)?.[1] ?? ''
const mailboxPath = (): string => /(\/projects\/\S+\/mailbox)$/m.exec(output)?.[1] ?? ''

/** Of a visitor of his own: cookies are nobody else's. */
async function visit(): Promise<Page> {
  const context = await browser.newContext()
  const page = await context.newPage()
  page.setDefaultTimeout(patienceMs)
  await open(page)
  return page
}

async function open(page: Page): Promise<void> {
  await page.goto(appUrl())
  await page.locator('body[data-ready]').waitFor()
}

async function fill(page: Page, form: string, fields: Record<string, string>): Promise<void> {
  const within = page.getByRole('form', { name: form })
  for (const [label, value] of Object.entries(fields)) await within.getByLabel(label).fill(value)
  await within.getByRole('button').click()
}

const notesOf = (page: Page): Promise<string[]> =>
  page.getByRole('list', { name: 'Your notes' }).getByRole('listitem').allTextContents()

async function write(page: Page, what: string): Promise<void> {
  await fill(page, 'Write a note', { Note: what })
  await page.getByRole('listitem').filter({ hasText: what }).waitFor()
}

async function linkSentTo(email: string): Promise<string> {
  return await eventually(
    `a link sent to ${email}`,
    async () => {
      const { status, body } = await request(server, 'GET', mailboxPath())
      assert.equal(status, 200)
      const mails = body['mails'] as { to: string; text: string }[]
      return /https?:\/\/\S+/.exec(mails.find(({ to }) => to === email)?.text ?? '')?.[0]
    },
    patienceMs,
  )
}

test('visitors sign up and in, each with his own rows', skip, async () => {
  const ada = await visit()
  const credentials = { 'E-mail': 'ada@example.com', Password: 'correct horse battery' }
  await fill(ada, 'Sign up', { Name: 'Ada', ...credentials })
  await ada.getByText('We have sent you an e-mail.').waitFor()

  await fill(ada, 'Sign in', credentials)
  await ada.getByRole('status').filter({ hasText: /verif/i }).waitFor()

  await ada.goto(await linkSentTo('ada@example.com'))
  await ada.waitForURL(`${appUrl()}/**`)
  await ada.locator('body[data-ready]').waitFor()
  if (await ada.getByRole('form', { name: 'Sign in' }).isVisible()) await fill(ada, 'Sign in', credentials)
  await ada.getByText('Signed in as ada@example.com').waitFor()
  await write(ada, 'buy milk')
  await write(ada, 'call Charles')

  const grace = await visit()
  await grace.getByRole('button', { name: 'Sign in with Google' }).click()
  await fillDevelopmentSignIn(grace, 'grace@example.com', 'Grace')
  await grace.waitForURL(`${appUrl()}/**`)
  await grace.getByText('Signed in as grace@example.com').waitFor()
  assert.deepEqual(await notesOf(grace), [])
  await write(grace, 'find a moth')

  await open(ada)
  await ada.getByRole('listitem').first().waitFor()
  assert.deepEqual(await notesOf(ada), ['buy milk', 'call Charles'])
  await open(grace)
  await grace.getByRole('listitem').first().waitFor()
  assert.deepEqual(await notesOf(grace), ['find a moth'])

  await ada.getByRole('button', { name: 'Sign out' }).click()
  await ada.getByRole('form', { name: 'Sign in' }).waitFor()
  await open(ada)
  assert.ok(await ada.getByRole('form', { name: 'Sign in' }).isVisible())
  const stranger = await fetch(`${appUrl()}/api/notes`)
  assert.equal(stranger.status, 401)
})

test('the app leaves one integration, which knows both of them', skip, async () => {
  const [, projectId = '', branchId = ''] = /projects\/([^/]+)\/branches\/([^/]+)\//.exec(mailboxPath()) ?? []
  const { data } = await apiClient(server).getNeonAuth(projectId, branchId)
  assert.equal(data.auth_provider, 'better_auth')
})

async function fillDevelopmentSignIn(page: Page, email: string, name: string): Promise<void> {
  await page
    .getByText(/development/i)
    .first()
    .waitFor()
  await page.getByLabel('E-mail').fill(email)
  await page.getByLabel('Name').fill(name)
  await page
    .getByRole('button', { name: /sign in|continue/i })
    .last()
    .click()
}
