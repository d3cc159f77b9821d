// What goes into a mail from elsewhere, made harmless: for a header, for HTML, for the eyes of whoever reads it.

import { AppError } from '../model/errors.ts'

const longestName = 80

const htmlEntities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export const escapeHtml = (text: string): string => text.replaceAll(/[&<>"']/g, (sign) => htmlEntities[sign] ?? sign)

/** One line, without what cannot be seen, turns the direction of what follows, or is read as something else in a header (RFC 2047). */
export function oneLine(text: string, longest = longestName): string {
  return text
    .normalize('NFC')
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu, ' ')
    .replaceAll('=?', '= ?')
    .replaceAll(/\s+/g, ' ')
    .trim()
    .slice(0, longest)
    .trim()
}

/**
 * A name that somebody gave himself: anybody can have us send it to anybody, so nothing of it may become a link. Programs that show mail
 * make one of whatever looks like a host, an address or a number.
 */
export function strangersName(text: string): string {
  return oneLine(text)
    .replaceAll(/[/\\@<>[\]{}|]+/g, ' ')
    .replaceAll(/([.:\u3002\uff0e\uff61])(?=\S)/g, '$1 ')
    .replaceAll(/\s+/g, ' ')
    .trim()
}

/** For `href` and as text. */
export function webAddress(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw new AppError('internal', 'a link in a mail is no web address')
  return url.href
}
