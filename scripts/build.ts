// Builds dist/, the package that is published: the command as one file, with a worker beside it, the
// library as tsc output, and a package.json of its own. `overrides` count only in a root package, so
// an installed package that named all its dependencies would pull 380 MB; the command needs only the
// one that is native.
//
//   npm run build [-- DIRECTORY]      npm run package
import { execFileSync } from 'node:child_process'
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { builtinModules } from 'node:module'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const root = new URL('../', import.meta.url)
const dist = pathToFileURL(`${resolve(process.argv[2] ?? fileURLToPath(new URL('dist', root)))}/`)
const pathOf = (name: string, base = dist) => fileURLToPath(new URL(name, base))

/** Stays outside of the bundle: it carries a compiled LevelDB for each platform. */
const native = 'classic-level'
const target = 'node24'
/** Run as a process of its own; nothing imports it. */
const worker = 'src/validation/validation-worker.ts'

/** The files of Swagger UI that the documentation page needs. */
const assets = ['swagger-ui-bundle.js', 'swagger-ui.css']

interface Manifest {
  readonly name: string
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
  readonly [field: string]: unknown
}

await rm(dist, { recursive: true, force: true })
await mkdir(dist, { recursive: true })
await buildCommand()
await buildClient()
await buildLibrary()
await copyDocuments()
await copyDocsPage()
await writeManifest()

async function buildCommand(): Promise<void> {
  await build({
    entryPoints: [pathOf('src/cli/main.ts', root), pathOf(worker, root)],
    entryNames: '[name]',
    outdir: pathOf('cli'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target,
    external: [native],
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'external',
    logLevel: 'warning',
    // CommonJS packages in the bundle ask for `require` and `__filename`.
    banner: {
      js: [
        "import{createRequire as $require}from'node:module'",
        "import{fileURLToPath as $path}from'node:url'",
        'const require=$require(import.meta.url),__filename=$path(import.meta.url)',
        "const __dirname=$path(new URL('.',import.meta.url))",
      ].join(';'),
    },
  })
  await cp(pathOf('bin/gonk-node.js', root), pathOf('bin/gonk-node.js'))
}

/** One file as well, so that a program that only talks to a daemon needs no other package. */
async function buildClient(): Promise<void> {
  await build({
    entryPoints: [pathOf('src/client/client.ts', root)],
    outfile: pathOf('client/client.js'),
    bundle: true,
    platform: 'neutral',
    format: 'esm',
    target,
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'external',
    logLevel: 'warning',
  })
}

async function buildLibrary(): Promise<void> {
  const config = pathOf('tsconfig.json')
  const compilerOptions = {
    rootDir: pathOf('src', root),
    outDir: pathOf('lib'),
    typeRoots: [pathOf('node_modules/@types', root)],
  }
  const files = [pathOf('src/index.ts', root), pathOf(worker, root)]
  const settings = { extends: pathOf('tsconfig.json', root), compilerOptions, files, include: [] }
  await writeFile(config, JSON.stringify(settings))
  const tsc = pathOf('node_modules/typescript/bin/tsc', root)
  execFileSync(process.execPath, [tsc, '-p', config], { stdio: 'inherit' })
  await rm(config)
}

async function copyDocuments(): Promise<void> {
  for (const name of await readdir(root)) {
    if (/^(README|CHANGELOG|LICENSE)/.test(name)) await cp(pathOf(name, root), pathOf(name))
  }
}

/** What src/http/docs.ts serves beside its own page. */
async function copyDocsPage(): Promise<void> {
  await mkdir(pathOf('swagger-ui'))
  for (const name of assets) {
    await cp(
      pathOf(`node_modules/@fastify/swagger-ui/static/${name}`, root),
      pathOf(`swagger-ui/${name}`),
    )
  }
  const notice = 'Swagger UI, Copyright SmartBear Software Inc., under the Apache License 2.0.\n'
  await writeFile(pathOf('swagger-ui/NOTICE'), notice)
}

async function writeManifest(): Promise<void> {
  const manifest = await readManifest('package.json')
  const { version } = await readManifest(`node_modules/${native}/package.json`)
  const imported = await importedByLibrary()
  const wanted = Object.entries(manifest.dependencies)
    .filter(([name]) => imported.has(name) && name !== 'typebox')
    .map(([name, range]) => [name, range.replace(/^\^?/, '^')] as const)
  const published = {
    ...pick(manifest, ['name', 'version', 'description', 'license', 'repository', 'keywords']),
    ...pick(manifest, ['type', 'bin']),
    // In the repository the launcher finds a Node 24 in node_modules; here there is none.
    engines: { node: '>=24' },
    exports: {
      '.': './lib/index.js',
      './client': { types: './lib/client/client.d.ts', default: './client/client.js' },
      './package.json': './package.json',
    },
    // The types of ./client are TypeBox's; at run time it needs nothing.
    dependencies: { [native]: version, typebox: manifest.dependencies['typebox'] },
    // Only programs that import the whole node need these; the command and ./client do not.
    peerDependencies: Object.fromEntries(wanted),
    peerDependenciesMeta: Object.fromEntries(wanted.map(([name]) => [name, { optional: true }])),
  }
  await writeFile(pathOf('package.json'), `${JSON.stringify(published, null, 2)}\n`)
}

async function importedByLibrary(): Promise<Set<string>> {
  const { metafile } = await build({
    entryPoints: [pathOf('src/index.ts', root), pathOf(worker, root)],
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    outdir: pathOf('lib'),
    write: false,
    metafile: true,
  })
  const paths = Object.values(metafile.outputs).flatMap((output) => output.imports)
  const names = paths.map(({ path }) =>
    path
      .split('/')
      .slice(0, path.startsWith('@') ? 2 : 1)
      .join('/'),
  )
  return new Set(
    names.filter((name) => !name.startsWith('node:') && !builtinModules.includes(name)),
  )
}

async function readManifest(name: string): Promise<Manifest> {
  return JSON.parse(await readFile(pathOf(name, root), 'utf8')) as Manifest
}

function pick(manifest: Manifest, names: readonly string[]): Record<string, unknown> {
  const present = names.filter((name) => manifest[name] !== undefined)
  return Object.fromEntries(present.map((name) => [name, manifest[name]]))
}
