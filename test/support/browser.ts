// A real browser, without a window.

import { spawnSync } from 'node:child_process'
import { chromium, type Browser } from 'playwright-core'

const programs = ['chromium', 'chromium-browser', 'google-chrome']

const found = programs.find((program) => spawnSync(program, ['--version']).status === 0)

/** Why there is none, or undefined. */
export const browserObstacle = found === undefined ? `needs ${programs.join(' or ')}` : undefined

export async function openBrowser(): Promise<Browser> {
  const where = spawnSync('which', [found ?? ''])
    .stdout.toString()
    .trim()
  // Root may not sandbox; what is visited is our own page.
  return await chromium.launch({ executablePath: where, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
}
