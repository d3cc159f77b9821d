// Comments of two parts: the first line says what it is, what follows describes it.

export type Comment = { summary: string; description: string }

export function splitComment(comment: string): Comment {
  const at = comment.indexOf('\n')
  if (at < 0) return { summary: comment, description: '' }
  return { summary: comment.slice(0, at), description: comment.slice(at).replace(/^\n+/, '') }
}

/** As an operation has it. */
export function summaryOf(comment: string | null): { summary?: string; description?: string } {
  if (comment === null) return {}
  const { summary, description } = splitComment(comment)
  return description === '' ? { summary } : { summary, description }
}
