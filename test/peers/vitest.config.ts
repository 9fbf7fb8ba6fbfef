// The tests that need the four containers: `npm run test:peers` starts them and runs this.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/peers/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 120_000,
    // All files share the same four peers.
    fileParallelism: false,
    pool: 'forks',
    reporters: ['verbose'],
  },
})
