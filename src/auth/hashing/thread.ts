// The thread that hashes passwords. It steps back for all others: who signs in can wait a little, whoever has signed in should not.

import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { doHashWork, type HashWork } from './hash-work.ts'

const niceness = 10

function stepBack(): void {
  try {
    // Linux weighs threads by their own ids; elsewhere there is no such file.
    const id = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    if (Number.isInteger(id) && id > 0 && id !== process.pid) setPriority(id, niceness)
  } catch {
    // Then it weighs what all weigh.
  }
}

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
const answer = (value?: string | boolean): void => parentPort?.postMessage({ value })

stepBack()
parentPort?.on('message', (work: HashWork) => {
  void doHashWork(work).then(answer, () => answer())
})
