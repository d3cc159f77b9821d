// Where a claim stands in a token: `.a."b-c"[0]`, `.roles[?(@ == "v")]`. Parsed and followed here.

export type JsPathFilter = '==' | '!=' | '^==' | '==^' | '*=='

export type JsPathStep =
  | { kind: 'key'; key: string }
  | { kind: 'index'; index: number }
  /** The first element of a list of texts that is so; only as the last step. */
  | { kind: 'filter'; comparison: JsPathFilter; text: string }

export type JsPath = readonly JsPathStep[]
