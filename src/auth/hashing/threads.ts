// Threads that hash, one job each at a time; made when there is something to do, ended when there was nothing for a while. Not libuv's
// threads: there are four of them for all of this process's files and names.

import { Worker } from 'node:worker_threads'
import { AppError } from '../../model/errors.ts'
import type { HashWork } from './hash-work.ts'

const idleMs = 60_000

type Thread = { worker: Worker; idleTimer: NodeJS.Timeout | undefined }

// Beside this file in the source and in the package that is built from it.
const program = new URL(`./thread${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)

export class HashingThreads {
  readonly #idle: Thread[] = []
  readonly #all = new Set<Thread>()

  /** Who calls bounds how many are called at a time: each call has a thread to itself. */
  async do(work: HashWork): Promise<string | boolean> {
    const thread = this.#idle.pop() ?? this.#make()
    clearTimeout(thread.idleTimer)
    const { worker } = thread
    worker.ref()
    const { promise, resolve, reject } = Promise.withResolvers<string | boolean>()
    const fail = (cause?: unknown): void =>
      reject(new AppError('internal', 'the password could not be hashed', { cause }))
    const heard = ({ value }: { value?: string | boolean }): void => (value === undefined ? fail() : resolve(value))
    const ended = (): void => fail(new Error('the hashing thread ended'))
    worker.once('message', heard)
    worker.once('error', fail)
    worker.once('exit', ended)
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
    worker.postMessage(work)
    try {
      return await promise
    } finally {
      worker.off('message', heard)
      worker.off('error', fail)
      worker.off('exit', ended)
      this.#rest(thread)
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map((thread) => this.#end(thread)))
  }

  #make(): Thread {
    const thread: Thread = { worker: new Worker(program), idleTimer: undefined }
    this.#all.add(thread)
    thread.worker.on('error', () => {})
    thread.worker.on('exit', () => this.#forget(thread))
    return thread
  }

  #rest(thread: Thread): void {
    if (!this.#all.has(thread)) return
    thread.worker.unref()
    thread.idleTimer = setTimeout(() => void this.#end(thread), idleMs)
    thread.idleTimer.unref()
    this.#idle.push(thread)
  }

  async #end(thread: Thread): Promise<void> {
    this.#forget(thread)
    await thread.worker.terminate()
  }

  #forget(thread: Thread): void {
    clearTimeout(thread.idleTimer)
    this.#all.delete(thread)
    const at = this.#idle.indexOf(thread)
    if (at >= 0) this.#idle.splice(at, 1)
  }
}
