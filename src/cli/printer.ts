// What the commands say to a person: progress that replaces itself on a terminal, plain lines elsewhere.

import type { Writable } from 'node:stream'

export type Printer = {
  progress(text: string): void
  /** Ends the progress. */
  done(): void
  line(text: string): void
}

export function createPrinter(stream: Writable & { isTTY?: boolean }): Printer {
  const terminal = stream.isTTY === true
  let open = false
  // A reader that has gone away (`| head`, a closed terminal) is no reason to stop databases.
  stream.on('error', () => {})
  const clear = (): void => {
    if (open && terminal) stream.write('\r\u001B[2K')
    open = false
  }
  return {
    progress(text) {
      clear()
      stream.write(terminal ? `${text} …` : `${text}\n`)
      open = terminal
    },
    done: clear,
    line(text) {
      clear()
      stream.write(`${text}\n`)
    },
  }
}
