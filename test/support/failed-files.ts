// A reporter that names the files in which something failed, one a line.

import type { TestEvent } from 'node:test/reporters'

// oxlint-disable-next-line import/no-default-export -- node takes a reporter as the default export
export default async function* failedFiles(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const seen = new Set<string>()
  for await (const event of source) {
    if (event.type !== 'test:fail') continue
    const { file } = event.data
    if (file === undefined || seen.has(file)) continue
    seen.add(file)
    yield `${file}\n`
  }
}
