import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    exclude: ['test/peers/**', 'test/long/**', 'test/crash/**', 'test/memory/**'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // libp2p may throw from a timer when a connection goes away; the daemon survives that, and so do tests.
    onUnhandledError: ({ name }) =>
      !/^(Stream|Muxer|Connection)\w*(State|Reset|Closed|Aborted)Error$/.test(String(name)),
  },
})
