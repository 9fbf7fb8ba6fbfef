// What is published: the tarball, unpacked where nothing of the repository is, with the one
// dependency it names.
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'

const run = promisify(execFile)
const repository = new URL('../..', import.meta.url).pathname
const path = (name: string) => join(repository, name)

let work: string
/** The package as it lies in a node_modules. */
let installed: string
let manifest: Record<string, unknown>

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'gonk-package-'))
  const dist = join(work, 'dist')
  await run(process.execPath, [path('scripts/build.ts'), dist], { cwd: repository })
  const pack = ['pack', dist, '--pack-destination', work, '--silent']
  const { stdout: tarball } = await run('npm', pack, { cwd: work })
  await run('tar', ['-xzf', tarball.trim()], { cwd: work })
  await mkdir(join(work, 'node_modules'))
  installed = join(work, 'node_modules', 'gonk-node')
  await cp(join(work, 'package'), installed, { recursive: true })
  await symlink(path('node_modules/classic-level'), join(work, 'node_modules', 'classic-level'))
  manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'))
}, 120_000)

afterAll(() => rm(work, { recursive: true, force: true }))

const launched = async (...args: string[]) => {
  const options = { cwd: work, env: { PATH: process.env['PATH'], HOME: work } }
  return (await run(process.execPath, [join(installed, 'bin/gonk-node.js'), ...args], options))
    .stdout
}

it('the package needs nothing but the compiled LevelDB, and is small', async () => {
  expect(Object.keys(manifest['dependencies'] as object)).toEqual(['classic-level'])
  expect(manifest).not.toHaveProperty('devDependencies')
  expect(manifest).not.toHaveProperty('scripts')
  expect(manifest['engines']).toEqual({ node: '>=24' })
  expect((await stat(join(installed, 'cli/main.js'))).size).toBeLessThan(6 * 1024 * 1024)
})

it('the bundle holds no webrtc, react-native or other stub', async () => {
  const bundle = await readFile(join(installed, 'cli/main.js'), 'utf8')
  expect(bundle).not.toMatch(/react-native|node-datachannel|RTCPeerConnection/)
})

it('the installed command shows help and its version', async () => {
  expect(await launched('--help')).toContain('Usage: gonk-node')
  expect(JSON.parse(await launched('version', '--json')).version).toBe(manifest['version'])
})

it('the installed command works on a real home', async () => {
  const home = ['--home', join(work, 'home'), '--json']
  await launched('init', ...home)
  const { id } = JSON.parse(await launched('dataset', 'create', 'cells', ...home))
  await launched('add', 'cells', join(installed, 'package.json'), '--accept', ...home)
  expect(JSON.parse(await launched('verify', 'cells', ...home)).ok).toBe(true)
  expect(JSON.parse(await launched('dataset', 'show', 'cells', ...home)).id).toBe(id)
})

it('the client is a module of its own without dependencies', async () => {
  const script = "import('gonk-node/client').then((m) => console.log(typeof m.createClient))"
  const { stdout } = await run(process.execPath, ['-e', script], { cwd: work })
  expect(stdout).toBe('function\n')
})

it('publint finds nothing wrong', async () => {
  const { stdout } = await run(process.execPath, [
    path('node_modules/publint/src/cli.js'),
    installed,
  ])
  expect(stdout).not.toMatch(/Errors:|Warnings:/)
})
