// What the database may add to an answer's head: nothing that would end a header, be another one, or say where the answer ends.

const framing = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'trailer', 'upgrade'])

export const isHeader = (name: string, value: string): boolean =>
  /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && /^[\t\P{Cc}]*$/u.test(value) && !framing.has(name.toLowerCase())

/** Those that have a body of their own and no other meaning for HTTP itself. */
export const isStatus = (status: number): boolean => Number.isInteger(status) && status >= 200 && status <= 599
