// What is published: the tarball, unpacked where nothing of the repository is, with the one
// dependency it names.
import { execFile, spawn, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readFile, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'

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
  expect(Object.keys(manifest['dependencies'] as object)).toEqual(['classic-level', 'typebox'])
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
  const bare = join(work, 'bare', 'node_modules')
  await mkdir(bare, { recursive: true })
  await cp(installed, join(bare, 'gonk-node'), { recursive: true })
  const script = "import('gonk-node/client').then((m) => console.log(typeof m.createClient))"
  const { stdout } = await run(process.execPath, ['-e', script], { cwd: join(work, 'bare') })
  expect(stdout).toBe('function\n')
})

it('the installed daemon answers the installed client, and shows its documentation', async () => {
  const { url, token } = await startedDaemon()
  const script = `import { createClient } from 'gonk-node/client'
    const client = createClient(${JSON.stringify({ url, token })})
    console.log((await client.me()).role, (await client.status()).version)`
  const inline = ['--input-type=module', '-e', script]
  const { stdout } = await run(process.execPath, inline, { cwd: work })
  expect(stdout).toBe(`admin ${String(manifest['version'])}\n`)

  const get = async (name: string) => {
    const response = await fetch(url + name)
    expect(response.status, name).toBe(200)
    return response.text()
  }
  expect(await get('/docs/')).toContain('swagger-ui-bundle.js')
  expect(await get('/docs/swagger-ui-bundle.js')).toContain('SwaggerUIBundle')
  expect(await get('/docs/swagger-ui.css')).toContain('.swagger-ui')
  expect(JSON.parse(await get('/openapi.json'))).toMatchObject({
    openapi: '3.1.0',
    info: { version: manifest['version'] },
  })
})

/** Ends with the test. */
async function startedDaemon(): Promise<{ url: string; token: string }> {
  const home = join(work, 'daemon')
  const free = ['--http', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0']
  const command = [join(installed, 'bin/gonk-node.js'), 'start', '--home', home, '--json', ...free]
  const stdio: StdioOptions = ['ignore', 'pipe', 'inherit']
  const daemon = spawn(process.execPath, command, { cwd: work, stdio })
  onTestFinished(async () => {
    daemon.kill('SIGTERM')
    if (daemon.exitCode === null) await once(daemon, 'exit')
  })
  await once(daemon.stdout as Readable, 'data')
  return JSON.parse(await readFile(join(home, 'daemon.json'), 'utf8')) as never
}

it('publint finds nothing wrong', async () => {
  const { stdout } = await run(process.execPath, [
    path('node_modules/publint/src/cli.js'),
    installed,
  ])
  expect(stdout).not.toMatch(/Errors:|Warnings:/)
})
