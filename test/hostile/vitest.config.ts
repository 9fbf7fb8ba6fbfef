import { defineConfig } from 'vitest/config'

// What `npm test` runs of this folder in small, and the flood in full: 1,000 free keys × 10 proposals,
// or as many as SYBIL_KEYS and SYBIL_PROPOSALS say.
process.env['SYBIL_KEYS'] ??= '1000'
process.env['SYBIL_PER_SECOND'] ??= '400'
process.env['SYBIL_LATENCY_MS'] ??= '2000'

export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/hostile/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Latencies are measured: nothing else runs beside.
    fileParallelism: false,
    onUnhandledError: ({ name }) =>
      !/^(Stream|Muxer|Connection)\w*(State|Reset|Closed|Aborted)Error$/.test(String(name)),
  },
})
