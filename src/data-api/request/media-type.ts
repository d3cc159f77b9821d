// What a client accepts, in its order of preference. https://docs.postgrest.org/en/v14/references/api/media_types.html

export type PlanOption = 'analyze' | 'verbose' | 'settings' | 'buffers' | 'wal'

export type MediaType =
  | { kind: 'any' }
  /** Of whatever is produced by default. */
  | { kind: 'json' }
  | { kind: 'array'; stripsNulls: boolean }
  | { kind: 'object'; stripsNulls: boolean }
  | { kind: 'csv' }
  | { kind: 'geojson' }
  | { kind: 'openapi' }
  | { kind: 'plan'; format: 'text' | 'json'; for: MediaType; options: readonly PlanOption[] }
  | { kind: 'urlencoded' }
  | { kind: 'octet-stream' }
  | { kind: 'text' }
  | { kind: 'xml' }
  /** In lower case, without parameters. */
  | { kind: 'other'; name: string }

const planOptions: readonly PlanOption[] = ['analyze', 'verbose', 'settings', 'buffers', 'wal']
const mostAccepted = 100

/** One media type with its parameters; `q` counts elsewhere. */
export function parseMediaType(text: string): MediaType {
  const [head = '', ...rest] = splitOutsideQuotes(text, ';')
  const name = head.trim().toLowerCase()
  const parameters = new Map(
    rest.map((each) => {
      const at = each.indexOf('=')
      const [key, value] = at < 0 ? [each, ''] : [each.slice(0, at), each.slice(at + 1)]
      return [key.trim().toLowerCase(), value.trim().replaceAll(/^"|"$/g, '')] as const
    }),
  )
  const stripsNulls = parameters.get('nulls') === 'stripped'
  switch (name) {
    case '':
    case '*/*':
      return { kind: 'any' }
    case 'application/json':
      return { kind: 'json' }
    case 'application/vnd.pgrst.array':
    case 'application/vnd.pgrst.array+json':
      return stripsNulls ? { kind: 'array', stripsNulls } : { kind: 'json' }
    case 'application/vnd.pgrst.object':
    case 'application/vnd.pgrst.object+json':
      return { kind: 'object', stripsNulls }
    case 'text/csv':
      return { kind: 'csv' }
    case 'application/geo+json':
      return { kind: 'geojson' }
    case 'application/openapi+json':
      return { kind: 'openapi' }
    case 'application/x-www-form-urlencoded':
      return { kind: 'urlencoded' }
    case 'application/octet-stream':
      return { kind: 'octet-stream' }
    case 'text/plain':
      return { kind: 'text' }
    case 'text/xml':
      return { kind: 'xml' }
    case 'application/vnd.pgrst.plan':
    case 'application/vnd.pgrst.plan+text':
    case 'application/vnd.pgrst.plan+json': {
      const inner = parameters.get('for')
      const asked = (parameters.get('options') ?? '').split('|')
      return {
        kind: 'plan',
        format: name.endsWith('+json') ? 'json' : 'text',
        for: inner === undefined || inner.includes('vnd.pgrst.plan') ? { kind: 'json' } : parseMediaType(inner),
        options: planOptions.filter((option) => asked.includes(option)),
      }
    }
    default:
      return { kind: 'other', name }
  }
}

/** In the order of their quality, and of the header where that is the same. Nothing said: anything. */
export function parseAccept(header: string | undefined): MediaType[] {
  if (header === undefined || header.trim() === '') return [{ kind: 'any' }]
  return splitOutsideQuotes(header, ',')
    .slice(0, mostAccepted)
    .map((text) => {
      const quality = /;\s*q\s*=\s*(\d(?:\.\d{0,3})?)/i.exec(text)?.[1]
      return { type: parseMediaType(text), quality: quality === undefined ? 1 : Number(quality) }
    })
    .filter(({ quality }) => quality > 0)
    .toSorted((a, b) => b.quality - a.quality)
    .map(({ type }) => type)
}

function splitOutsideQuotes(text: string, by: string): string[] {
  const pieces: string[] = []
  let isQuoted = false
  let start = 0
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at)
    if (character === '"') isQuoted = !isQuoted
    if (character !== by || isQuoted) continue
    pieces.push(text.slice(start, at))
    start = at + 1
  }
  pieces.push(text.slice(start))
  return pieces
}

/** Without parameters of the transfer. */
export function mediaTypeName(type: MediaType): string {
  switch (type.kind) {
    case 'any':
      return '*/*'
    case 'json':
      return 'application/json'
    case 'array':
      return `application/vnd.pgrst.array+json${type.stripsNulls ? ';nulls=stripped' : ''}`
    case 'object':
      return `application/vnd.pgrst.object+json${type.stripsNulls ? ';nulls=stripped' : ''}`
    case 'csv':
      return 'text/csv'
    case 'geojson':
      return 'application/geo+json'
    case 'openapi':
      return 'application/openapi+json'
    case 'plan':
      return `application/vnd.pgrst.plan+${type.format}; for="${mediaTypeName(type.for)}"${
        type.options.length === 0 ? '' : `; options=${type.options.join('|')}`
      }`
    case 'urlencoded':
      return 'application/x-www-form-urlencoded'
    case 'octet-stream':
      return 'application/octet-stream'
    case 'text':
      return 'text/plain'
    case 'xml':
      return 'text/xml'
    case 'other':
      return type.name
  }
}
