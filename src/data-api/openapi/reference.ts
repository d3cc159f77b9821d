// Names of the database where a URL or a pointer into the document has to be one, whatever is in them.

export type Reference = { $ref: string }

export const toDefinition = (name: string): Reference => ({ $ref: `#/definitions/${pointer(name)}` })

export const toParameter = (name: string): Reference => ({ $ref: `#/parameters/${pointer(name)}` })

/** RFC 6901, as the fragment of a URI. */
const pointer = (name: string): string => encoded(name.replaceAll('~', '~0').replaceAll('/', '~1'))

export const relationPath = (name: string): string => `/${encoded(name)}`

export const functionPath = (name: string): string => `/rpc/${encoded(name)}`

const encoded = (name: string): string => encodeURIComponent(name)
