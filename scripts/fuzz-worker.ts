// One run of the fuzzer in a process of its own, as a crash or a hang of it must not end the others.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { forOlderLibraries } from './fuzz-addon.ts'

export interface FuzzTask {
  /** Exports `fuzz`. */
  readonly module: string
  readonly isAsync: boolean
  readonly timeoutMs: number
  /** Arguments of libFuzzer. */
  readonly fuzzer: readonly string[]
}

/** Where the addon of Jazzer.js cannot be loaded, a copy that can takes its place. */
function makeLoadable(): void {
  const open = process.dlopen.bind(process)
  process.dlopen = (module: object, path: string, flags?: number) => {
    const load = (from: string) =>
      flags === undefined ? open(module, from) : open(module, from, flags)
    try {
      load(path)
    } catch (error) {
      if (!/version `GLIBC(XX)?_[\d.]+' not found/.test(String(error))) throw error
      const dir = mkdtempSync(join(tmpdir(), 'gonk-fuzz-addon-'))
      const copy = join(dir, 'fuzzer.node')
      writeFileSync(copy, forOlderLibraries(readFileSync(path)))
      load(copy)
      // What is loaded stays so.
      rmSync(dir, { recursive: true })
    }
  }
}

async function main(task: FuzzTask): Promise<void> {
  makeLoadable()
  const require = createRequire(import.meta.url)
  const { OptionsManager, OptionSource, startFuzzing } =
    require('@jazzer.js/core') as typeof import('@jazzer.js/core')
  const options = new OptionsManager(OptionSource.DefaultCLIOptions).merge(
    {
      fuzzTarget: pathToFileURL(task.module).href,
      sync: !task.isAsync,
      timeout: task.timeoutMs,
      includes: [dirname(task.module)],
      excludes: ['node_modules'],
      // Targets look for what decoders can do, at a third of the price.
      disableBugDetectors: ['.*'],
      fuzzerOptions: [...task.fuzzer],
    },
    OptionSource.CommandLineArguments,
  )
  const { returnCode } = await startFuzzing(options)
  process.exit(returnCode)
}

await main(JSON.parse(process.argv[2] ?? '{}') as FuzzTask)
