// What goes back: always whole, with its headers in order.

export type HttpAnswer = {
  status: number
  /** In place of the usual words for the status. */
  reason?: string | undefined
  headers: (readonly [name: string, value: string])[]
  body: string | Buffer
}
