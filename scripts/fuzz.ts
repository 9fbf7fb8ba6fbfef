// Fuzzes the decoders of bytes from outside, one after another, guided by coverage (Jazzer.js, libFuzzer):
// `npm run fuzz -- TARGET… [--runs N] [--seconds S] [--seed N]`, and `all` for every target there is.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { bytesMaxOf, type Target } from '../test/fuzz/target.ts'
import type { FuzzTask } from './fuzz-worker.ts'

const folder = resolve(import.meta.dirname, '../test/fuzz')
const worker = join(import.meta.dirname, 'fuzz-worker.ts')
/** Of V8 and of the whole process: what an input may make it take. */
const HEAP_MIB = 768
const RSS_MIB = 1_536
/** Where one input hangs. */
const HANG_SECONDS = 20

/** Of what it prints on its way, so much is kept for whoever has to look into a finding. */
const OUTPUT_PIECES_MAX = 2_000

interface Limits {
  readonly runs: number
  /** Of each target; 0: however long it takes. */
  readonly seconds: number
  /** Equal seeds make equal inputs, as long as the code is the same. */
  readonly seed: number
}

interface Result {
  readonly name: string
  readonly inputs: number
  readonly perSecond: number
  /** Branches taken, and inputs kept for what they reached. */
  readonly edges: number
  readonly corpus: number
  readonly failed: boolean
}

const say = (text: string) => process.stdout.write(`${text}\n`)

/** One module with everything in it, so that all of it is instrumented, and its seeds in a folder. */
async function prepare(name: string, dir: string): Promise<Target> {
  const path = join(folder, 'targets', `${name}.ts`)
  const contents = `
    import { target } from ${JSON.stringify(path)}
    import { tryInput } from ${JSON.stringify(join(folder, 'target.ts'))}
    export const fuzz = (bytes) => tryInput(target, bytes)`
  await build({
    stdin: { contents, resolveDir: folder, loader: 'ts' },
    outfile: join(dir, 'target.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    logLevel: 'error',
    define: { 'import.meta.dirname': JSON.stringify(join(folder, 'targets')) },
    banner: {
      js: `import { createRequire as $require } from 'node:module'
        const require = $require(${JSON.stringify(path)})`,
    },
  })
  const { target } = (await import(path)) as { target: Target }
  await mkdir(join(dir, 'corpus'))
  await mkdir(join(dir, 'found'))
  for (const [i, seed] of target.seeds().entries()) {
    await writeFile(join(dir, 'corpus', `seed-${i}`), seed)
  }
  await writeFile(join(dir, 'words'), (target.words ?? []).map(wordLine).join(''))
  return target
}

/** A line of a dictionary as libFuzzer reads it. */
function wordLine(word: string | Uint8Array): string {
  const hex = Buffer.from(word).toString('hex')
  return `"${hex.replace(/../g, '\\x$&')}"\n`
}

async function fuzz(name: string, limits: Limits): Promise<Result> {
  const dir = await mkdtemp(join(tmpdir(), `gonk-fuzz-${name}-`))
  const target = await prepare(name, dir)
  const task: FuzzTask = {
    module: join(dir, 'target.mjs'),
    isAsync: target.isAsync === true,
    timeoutMs: HANG_SECONDS * 1_000,
    fuzzer: [
      join(dir, 'corpus'),
      `-artifact_prefix=${join(dir, 'found')}/`,
      `-dict=${join(dir, 'words')}`,
      `-runs=${Math.ceil(limits.runs / (target.costs ?? 1))}`,
      `-max_total_time=${limits.seconds}`,
      `-seed=${limits.seed}`,
      `-max_len=${bytesMaxOf(target)}`,
      `-rss_limit_mb=${RSS_MIB}`,
      '-len_control=20',
    ],
  }
  const args = [`--max-old-space-size=${HEAP_MIB}`, worker, JSON.stringify(task)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const output: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output.push(text)
      if (output.length > OUTPUT_PIECES_MAX) output.splice(0, OUTPUT_PIECES_MAX / 2)
    })
  }
  const [status] = await once(child, 'close')
  const result = resultOf(name, output.join(''), status !== 0)
  if (result.failed) await tell(dir, output.join(''))
  else await rm(dir, { recursive: true })
  return result
}

function resultOf(name: string, output: string, failed: boolean): Result {
  const last = (pattern: RegExp) => Number([...output.matchAll(pattern)].at(-1)?.[1] ?? 0)
  return {
    name,
    inputs: last(/^#(\d+)/gm),
    // Within the first second it says nothing of its speed.
    perSecond: last(/exec\/s: (\d+)/g) || last(/^#(\d+)/gm),
    edges: last(/cov: (\d+)/g),
    corpus: last(/corp: (\d+)/g),
    failed,
  }
}

async function tell(dir: string, output: string): Promise<void> {
  say(output.replace(/^(#\d+.*\n)+/gm, '').slice(-6_000))
  for (const file of await readdir(join(dir, 'found'))) {
    const bytes = await readFile(join(dir, 'found', file))
    say(`\n${join(dir, 'found', file)}: ${bytes.length} bytes, in hex:\n${bytes.toString('hex')}`)
  }
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: '100000' },
      seconds: { type: 'string', default: '0' },
      seed: { type: 'string', default: '1' },
    },
  })
  const all = (await readdir(join(folder, 'targets'))).map((file) => basename(file, '.ts')).sort()
  const names = positionals.includes('all') ? all : positionals
  const unknown = names.find((name) => !all.includes(name))
  const [runs = 0, seconds = 0, seed = 0] = [values.runs, values.seconds, values.seed].map(Number)
  const areNumbers = [runs, seconds, seed].every((number) => Number.isSafeInteger(number))
  if (names.length === 0 || unknown !== undefined || !areNumbers) {
    say(
      'npm run fuzz -- TARGET… [--runs N] [--seconds S] [--seed N], where TARGET is all or one of',
    )
    say(all.join(', '))
    process.exitCode = 2
    return
  }
  say('target              inputs   per second    edges   corpus')
  for (const name of names) {
    const result = await fuzz(name, { runs, seconds, seed })
    const numbers = [result.inputs, result.perSecond, result.edges, result.corpus]
    const columns = numbers.map((number, i) => String(number).padStart([10, 13, 9, 9][i] ?? 9))
    say(name.padEnd(16) + columns.join('') + (result.failed ? '   FAILED' : ''))
    if (result.failed) process.exitCode = 1
  }
}

await main()
