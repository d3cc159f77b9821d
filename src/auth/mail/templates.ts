// The mails that an app's users get. Each has one thing to do, a link or a code; whatever comes from elsewhere is in it as text.

import type { AuthMail } from '../../model/auth-target.ts'
import { AppError } from '../../model/errors.ts'
import { isMailAddress } from '../../model/mail-address.ts'
import { escapeHtml, oneLine, strangersName, webAddress } from '../../lib/mail-text.ts'

/** How it is done: by a link, by a code, or by either. */
export type MailAction = { url: string; code?: string | undefined } | { url?: undefined; code: string }

export type MailInput = { to: string; appName: string; expiresInMinutes: number } & MailAction &
  (
    | { kind: 'verification' | 'password_reset' | 'sign_in' }
    | { kind: 'invitation'; organizationName: string; inviterName?: string | undefined }
    | { kind: 'email_change'; newEmail: string }
  )

type Wording = { subject: string; lead: string; button: string; otherwise: string }

const notYou = 'If this was not you, you need not do anything.'

function wordingOf(input: MailInput, app: string): Wording {
  switch (input.kind) {
    case 'verification':
      return {
        subject: `Verify your e-mail address for ${app}`,
        lead: `Please confirm that this e-mail address is yours to use it at ${app}.`,
        button: 'Verify e-mail address',
        otherwise: notYou,
      }
    case 'password_reset':
      return {
        subject: `Reset your password for ${app}`,
        lead: `Somebody asked to reset the password of your account at ${app}.`,
        button: 'Choose a new password',
        otherwise: 'If this was not you, you need not do anything: your password stays as it is.',
      }
    case 'sign_in':
      return {
        subject: `Sign in to ${app}`,
        lead: `Somebody, probably you, wants to sign in to ${app} with this e-mail address.`,
        button: 'Sign in',
        otherwise: `${notYou} Do not pass this mail or what is in it on to anybody.`,
      }
    case 'invitation': {
      const organization = strangersName(input.organizationName) || 'an organization'
      const inviter = strangersName(input.inviterName ?? '')
      return {
        subject: `Invitation to ${organization} at ${app}`,
        lead: `${inviter === '' ? 'Somebody' : inviter} invites you to join ${organization} at ${app}.`,
        button: 'See the invitation',
        otherwise: 'If you do not know what this is about, you need not do anything.',
      }
    }
    case 'email_change':
      return {
        subject: `Change of your e-mail address at ${app}`,
        lead: `Your account at ${app} is to have the e-mail address ${shownAddress(input.newEmail)} from now on.`,
        button: 'Confirm the change',
        otherwise: 'If this was not you, do not confirm it, and change your password.',
      }
  }
}

/** Throws `bad_request` where no mail can go to that address. */
export function authMail(input: MailInput): AuthMail {
  if (!isMailAddress(input.to)) throw new AppError('bad_request', 'no mail can be sent to this e-mail address')
  const wording = wordingOf(input, oneLine(input.appName) || 'the app')
  const action = { url: input.url === undefined ? undefined : webAddress(input.url), code: input.code }
  const validity = `${action.url === undefined ? 'The code' : 'The link'} is good for ${durationText(input.expiresInMinutes)}, once.`
  return {
    kind: kindOf(input),
    to: input.to,
    subject: oneLine(wording.subject),
    text: textOf(wording, action, validity),
    html: htmlOf(wording, action, validity),
  }
}

type Action = { url: string | undefined; code: string | undefined }

function textOf({ lead, button, otherwise }: Wording, { url, code }: Action, validity: string): string {
  return [
    lead,
    ...(url === undefined ? [] : [`${button}:\n${url}`]),
    ...(code === undefined ? [] : [`${url === undefined ? 'Your code' : 'Or with this code'}: ${oneLine(code)}`]),
    validity,
    otherwise,
  ]
    .join('\n\n')
    .concat('\n')
}

function htmlOf({ subject, lead, button, otherwise }: Wording, { url, code }: Action, validity: string): string {
  const paragraph = (html: string): string => `<p style="margin:0 0 16px">${html}</p>`
  const href = url === undefined ? undefined : escapeHtml(url)
  return [
    '<!doctype html>',
    `<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(oneLine(subject))}</title></head>`,
    '<body style="margin:0;padding:24px;font:16px/1.5 sans-serif;color:#222;background:#fff"><div style="max-width:480px">',
    paragraph(escapeHtml(lead)),
    ...(href === undefined
      ? []
      : [
          paragraph(
            `<a href="${href}" style="display:inline-block;padding:10px 18px;background:#222;color:#fff;text-decoration:none">${button}</a>`,
          ),
          paragraph(`<span style="font-size:13px;word-break:break-all">${href}</span>`),
        ]),
    ...(code === undefined
      ? []
      : [
          paragraph(href === undefined ? 'Your code:' : 'Or with this code:'),
          paragraph(`<strong style="font:24px monospace;letter-spacing:3px">${escapeHtml(oneLine(code))}</strong>`),
        ]),
    paragraph(validity),
    `<p style="margin:0;font-size:13px;color:#666">${escapeHtml(otherwise)}</p>`,
    '</div></body></html>',
    '',
  ].join('\n')
}

function kindOf(input: MailInput): AuthMail['kind'] {
  if (input.kind === 'verification') return input.url === undefined ? 'verification_code' : 'verification_link'
  if (input.kind === 'sign_in') return input.url === undefined ? 'sign_in_code' : 'magic_link'
  return input.kind
}

/** An address is no link to whoever is asked whether he wants it. */
const shownAddress = (text: string): string => (isMailAddress(text) ? text : strangersName(text))

function durationText(minutes: number): string {
  const [count, unit] =
    minutes >= 48 * 60
      ? [Math.floor(minutes / (24 * 60)), 'day']
      : minutes >= 120
        ? [Math.floor(minutes / 60), 'hour']
        : [Math.max(1, Math.floor(minutes)), 'minute']
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}
