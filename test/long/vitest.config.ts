// The long forms: `vitest run --config test/long/vitest.config.ts [test/long/NAME]`.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/long/**/*.test.ts'],
    testTimeout: 24 * 60 * 60 * 1_000,
    pool: 'forks',
  },
})
