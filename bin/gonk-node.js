#!/usr/bin/env node
// Starts gonk-node on Node 24 or newer. Plain JavaScript that any Node from 18 on can run: on an
// older one than 24 it starts the Node 24 of the npm package `node` and stands aside.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import module, { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const NODE_MAJOR = 24

if (Number.parseInt(process.versions.node, 10) >= NODE_MAJOR) {
  module.enableCompileCache?.()
  // In the repository the sources; in the published package, which has none, the bundle.
  const sources = new URL('../src/cli/main.ts', import.meta.url)
  await import(existsSync(sources) ? sources.href : new URL('../cli/main.js', import.meta.url).href)
} else {
  const node = installedNode()
  if (node !== undefined) handOver(node)
  else {
    const own = process.versions.node
    const todo = `install Node ${NODE_MAJOR} or newer (in a copy of the repository \`npm ci\` does)`
    process.stderr.write(`gonk-node: UNSUPPORTED: this is Node ${own}; ${todo}\n`)
    process.exitCode = 1
  }
}

/** The binary of the npm package `node`, wherever npm put it; undefined when it is not there. */
function installedNode() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node'
  const system = process.platform === 'win32' ? 'win' : process.platform
  try {
    const manifest = createRequire(import.meta.url).resolve('node/package.json')
    const ofPlatform = createRequire(manifest)
    const candidates = [
      () => join(dirname(manifest), 'bin', name),
      () =>
        join(
          dirname(ofPlatform.resolve(`node-${system}-${process.arch}/package.json`)),
          'bin',
          name,
        ),
    ]
    for (const candidate of candidates) {
      const path = candidate()
      if (existsSync(path)) return path
    }
  } catch {
    // Not installed.
  }
  return undefined
}

/** Runs this script there: same terminal, signals passed on, same end. */
function handOver(node) {
  const script = fileURLToPath(import.meta.url)
  // The channel carries nothing. It closes when this process is killed; the child stops then too.
  const stdio = ['inherit', 'inherit', 'inherit', 'ipc']
  const child = spawn(node, [script, ...process.argv.slice(2)], { stdio })
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    process.stderr.write(`gonk-node: UNSUPPORTED: ${node} does not start: ${error.message}\n`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    for (const handled of signals) process.removeAllListeners(handled)
    process.kill(process.pid, signal)
  })
}
