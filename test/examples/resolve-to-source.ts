// Preloaded by examples that run from this repository: the package they import is its source.
import { registerHooks } from 'node:module'

const client = new URL('../../src/client/client.ts', import.meta.url).href

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'gonk-node/client'
      ? { url: client, shortCircuit: true }
      : next(specifier, context),
})
