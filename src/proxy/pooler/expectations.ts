// What a pooled server connection still owes: one entry for each message that gets an answer, in the order in which they were sent.
//
// The pooler adds requests of its own (a statement that this server has not prepared yet) whose answers the client must not see, and
// leaves out requests that it answers itself, whose answers have to come in their place. Both need to know whose turn it is.

export type Asked =
  | 'query'
  | 'function_call'
  | 'parse'
  | 'bind'
  | 'describe'
  | 'execute'
  | 'close'
  | 'sync'
  /** A query of our own: nothing of its answer is for the client. */
  | 'own_query'

export type Expectation = {
  asked: Asked
  /** Ours: the client did not ask. */
  isOwn?: boolean
  /** Nothing was sent: this is what the client gets when it is its turn. */
  answer?: Buffer
  /** It never took effect: an error before it had the server skip it, or it failed itself. */
  undo?: () => void
}

/** Entries that need nothing but their kind are shared. */
export const expected: Readonly<Record<Asked, Expectation>> = {
  query: { asked: 'query' },
  function_call: { asked: 'function_call' },
  parse: { asked: 'parse' },
  bind: { asked: 'bind' },
  describe: { asked: 'describe' },
  execute: { asked: 'execute' },
  close: { asked: 'close' },
  sync: { asked: 'sync' },
  own_query: { asked: 'own_query', isOwn: true },
}

const compactAfter = 64

export class Expectations {
  #queue: Expectation[] = []
  #head = 0
  /** The server ignores everything up to the next Sync, and none has been sent yet. */
  #skipping = false
  /** The server reads COPY data and ignores any Sync. */
  #copyingIn = false

  get isEmpty(): boolean {
    return this.#head === this.#queue.length
  }

  get first(): Expectation | undefined {
    return this.#queue[this.#head]
  }

  get isSkipping(): boolean {
    return this.#skipping
  }

  push(expectation: Expectation): void {
    if (expectation.asked === 'sync') {
      if (this.#copyingIn) return
      this.#skipping = false
    } else if (this.#skipping) {
      return
    }
    this.#queue.push(expectation)
  }

  /** The first one is answered. */
  shift(): void {
    this.#queue[this.#head++] = expected.sync
    if (this.isEmpty) {
      this.#queue.length = 0
      this.#head = 0
    } else if (this.#head > compactAfter) {
      this.#queue.splice(0, this.#head)
      this.#head = 0
    }
  }

  /** A ReadyForQuery ends what it belongs to, and whatever was left open before that. */
  ready(): void {
    this.#copyingIn = false
    for (;;) {
      const { first } = this
      if (!first) return
      this.shift()
      if (
        first.asked === 'query' ||
        first.asked === 'function_call' ||
        first.asked === 'sync' ||
        first.asked === 'own_query'
      )
        return
    }
  }

  /** An error. In the extended protocol the server skips what comes before the next Sync. */
  failed(): void {
    this.#copyingIn = false
    const asked = this.first?.asked
    if (asked === undefined || asked === 'query' || asked === 'function_call' || asked === 'own_query') return
    for (let next = this.first; next; next = this.first) {
      if (next.asked === 'sync') return
      this.shift()
      next.undo?.()
    }
    this.#skipping = true
  }

  /** The server waits for COPY data: a Sync that was sent with the Execute is ignored. */
  copyInBegan(): void {
    if (this.first?.asked !== 'execute') return
    this.#copyingIn = true
    const rest = this.#queue.slice(this.#head).filter(({ asked }) => asked !== 'sync')
    this.#queue = rest
    this.#head = 0
  }

  copyInEnds(): void {
    this.#copyingIn = false
  }

  clear(): void {
    this.#queue = []
    this.#head = 0
    this.#skipping = false
    this.#copyingIn = false
  }
}
