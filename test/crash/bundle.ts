// The command as one file, as it is published: it starts in half the time of the sources, and is started
// a thousand times here.
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../../', import.meta.url))
const prelude = [
  "import{createRequire as $require}from'node:module'",
  "import{fileURLToPath as $path}from'node:url'",
  'const require=$require(import.meta.url),__filename=$path(import.meta.url)',
  "const __dirname=$path(new URL('.',import.meta.url))",
]

/** @returns the path of the command, and how to remove it. */
export async function bundle(): Promise<{ program: string; remove: () => Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'gonk-bundle-'))
  await symlink(join(root, 'node_modules'), join(dir, 'node_modules'))
  await build({
    absWorkingDir: root,
    entryPoints: ['src/cli/main.ts', 'src/validation/validation-worker.ts'],
    entryNames: '[name]',
    outdir: join(dir, 'cli'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: ['classic-level'],
    banner: { js: prelude.join(';') },
    logLevel: 'warning',
  })
  await mkdir(join(dir, 'bin'))
  await cp(join(root, 'bin/gonk-node.js'), join(dir, 'bin/gonk-node.js'))
  await cp(join(root, 'package.json'), join(dir, 'package.json'))
  return {
    program: join(dir, 'bin/gonk-node.js'),
    remove: () => rm(dir, { recursive: true, force: true }),
  }
}
