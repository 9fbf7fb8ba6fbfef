// Backups of homes that are open in this process: what is in them, what they refuse, and what becomes of
// those that are cut off or damaged.
import { createHash } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { manifestFileOf, readManifest } from '../../src/backup/manifest.ts'
import { checkBackup, restoreBackup } from '../../src/backup/restore.ts'
import type { NodeApi } from '../../src/contract/api.ts'
import { GonkError } from '../../src/core/errors.ts'
import { initHome, openHome } from '../../src/home.ts'
import { bytesOf, digestsOf, manyFiles, variedFiles } from '../node/folders.ts'
import { addFiles, aHome, type TestHome, withNode } from './homes.ts'

const codeOf = async (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error: unknown) => (error instanceof GonkError ? error.code : String(error)),
  )

/** A home with a dataset, and a folder for its backup. */
async function aFullHome() {
  const test = await aHome()
  await withNode(test.home.dir, async (api) => {
    await api.createDataset({ name: 'cells' })
    await addFiles(api, test, variedFiles())
  })
  return { ...test, directory: join(test.work, 'backup') }
}

const backupOf = ({ home }: TestHome, directory: string, keys = true) =>
  withNode(home.dir, (api) => api.backup({ directory, keys }))

const blocksIn = async (dir: string) =>
  (await readdir(join(dir, 'blocks'), { recursive: true })).filter((name) => name.endsWith('.data'))

async function expectHome(dir: string, root: string, files: Record<string, Uint8Array>) {
  await withNode(dir, async (api) => {
    expect((await api.root('cells')).root).toBe(root)
    expect(await api.verify('cells')).toMatchObject({ ok: true, problems: [] })
    const out = `${dir}-out`
    await api.checkout('cells', out)
    expect(Object.keys(await digestsOf(out)).length).toBe(Object.keys(files).length)
  })
}

test('a restored home has the root, the files, the keys, the users and the config, with their modes', async () => {
  const full = await aFullHome()
  const { home, directory, work } = full
  const root = await withNode(home.dir, async (api) => {
    await api.addUser({ name: 'ada' })
    await writeFile(join(home.dir, 'users', 'what is this?.json'), 'nobody')
    await addFiles(api, full, { 'two blocks': bytesOf('two', 2_500_000) })
    return (await api.root('cells')).root
  })
  const made = await backupOf(full, directory)
  expect(made).toMatchObject({ keys: true, datasets: [{ name: 'cells', root }] })
  expect(made.blocks).toMatchObject({ added: made.blocks.count, missing: 0 })
  expect(await checkBackup(directory)).toMatchObject({ problems: [] })

  const restored = await restoreBackup(directory, join(work, 'new'))
  expect(restored.damaged).toBe(0)
  const { publicKey, peerId, dir } = restored.home
  expect({ publicKey, peerId }).toEqual({ publicKey: home.publicKey, peerId: home.peerId })
  for (const name of ['identity.json', 'config.yaml', 'users/ada.json']) {
    expect(await readFile(join(dir, name))).toEqual(await readFile(join(home.dir, name)))
    expect((await stat(join(dir, name))).mode & 0o777).toBe(0o600)
  }
  for (const folder of [dir, join(dir, 'users'), directory, join(directory, 'blocks')]) {
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
  }
  expect((await readdir(dir)).toSorted()).toEqual(
    ['blocks', 'config.yaml', 'identity.json', 'log', 'log.format', 'users'].toSorted(),
  )
  await expectHome(dir, root, { ...variedFiles(), 'two blocks': bytesOf('', 0) })
  await withNode(dir, async (api) => {
    expect(await api.listUsers()).toMatchObject([{ name: 'ada' }])
    await addFiles(api, full, { 'after.txt': 'still an owner' })
  })
})

test('the blocks of a backup beside the home are the same files, and no change of the home changes them', async () => {
  const full = await aFullHome()
  await backupOf(full, full.directory)
  const [block = ''] = await blocksIn(full.directory)
  const inode = async (dir: string) => (await stat(join(dir, 'blocks', block))).ino
  expect(await inode(full.directory)).toBe(await inode(full.home.dir))
  await withNode(full.home.dir, async (api) => {
    await api.forgetDataset('cells')
    expect((await api.gc()).blocks).toBeGreaterThan(0)
  })
  expect(await blocksIn(full.home.dir)).toEqual([])
  expect(await checkBackup(full.directory)).toMatchObject({ problems: [] })
})

const elsewhere = '/dev/shm'
const isElsewhere = existsSync(elsewhere) && statSync(elsewhere).dev !== statSync(tmpdir()).dev

test.skipIf(!isElsewhere)(
  'a backup on another file system has copies, and none of what is damaged',
  async () => {
    const full = await aFullHome()
    const directory = await mkdtemp(join(elsewhere, 'gonk-backup-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    const [bad = ''] = await blocksIn(full.home.dir)
    const file = join(full.home.dir, 'blocks', bad)
    const good = await readFile(file)
    await writeFile(
      file,
      good.map((byte) => byte ^ 1),
    )
    const { blocks } = await backupOf(full, directory)
    expect(blocks.missing).toBe(1)
    expect((await checkBackup(directory)).problems).toHaveLength(1)
    await writeFile(file, good)
    expect((await backupOf(full, directory)).blocks).toMatchObject({ added: 1, missing: 0 })
    expect(await checkBackup(directory)).toMatchObject({ problems: [] })
    await restoreBackup(directory, join(full.work, 'new'))
    await withNode(join(full.work, 'new'), async (api) =>
      expect(await api.verify('cells')).toMatchObject({ ok: true }),
    )
  },
)

test('a repeated backup copies what is new, and drops what the home has dropped', async () => {
  const full = await aFullHome()
  const { directory, home, work } = full
  const first = await backupOf(full, directory)
  expect((await backupOf(full, directory)).blocks).toEqual({ ...first.blocks, added: 0 })
  const root = await withNode(home.dir, async (api) => {
    await addFiles(api, full, manyFiles('more', 5, 1_000))
    return (await api.root('cells')).root
  })
  const more = await backupOf(full, directory)
  expect(more.blocks).toMatchObject({ added: 5, count: first.blocks.count + 5 })
  expect((await readdir(directory)).filter((name) => name.startsWith('state-'))).toHaveLength(1)
  await restoreBackup(directory, join(work, 'new'))
  await expectHome(join(work, 'new'), root, { ...variedFiles(), ...manyFiles('more', 5, 1_000) })
  await withNode(home.dir, async (api) => {
    await api.forgetDataset('cells')
    await api.gc()
  })
  expect((await backupOf(full, directory)).blocks).toMatchObject({ count: 0, added: 0 })
  expect(await blocksIn(directory)).toEqual([])
})

test('a backup is of one moment, whatever is added and collected while it is made', async () => {
  const full = await aFullHome()
  const { directory, work } = full
  const { moments, roots } = await withNode(full.home.dir, async (api) => {
    const seen = new Set<string>()
    const state = { goesOn: true }
    const adding = (async () => {
      for (let i = 0; state.goesOn; i++) {
        await addFiles(api, full, manyFiles(`load-${i}`, 8, 3_000))
        seen.add((await api.root('cells')).root)
      }
    })()
    const collecting = (async () => {
      while (state.goesOn) await api.gc().catch(() => undefined)
    })()
    const made = []
    for (let i = 0; i < 3; i++) {
      made.push(await api.backup({ directory }))
      await restoreBackup(directory, join(work, `new-${i}`))
    }
    state.goesOn = false
    await Promise.all([adding, collecting])
    return { moments: made, roots: seen }
  })
  expect(roots.size).toBeGreaterThan(0)
  for (const [i, { datasets, blocks }] of moments.entries()) {
    expect(blocks.missing).toBe(0)
    await withNode(join(work, `new-${i}`), async (api) => {
      expect((await api.root('cells')).root).toBe(datasets[0]?.root)
      expect(await api.verify('cells')).toMatchObject({ ok: true, problems: [] })
    })
  }
})

test('two backups of one node at a time are refused', async () => {
  const full = await aFullHome()
  await withNode(full.home.dir, async (api) => {
    const both = [full.directory, join(full.work, 'other')].map((directory) =>
      codeOf(api.backup({ directory })),
    )
    expect((await Promise.all(both)).toSorted()).toEqual(['TOO_MANY', 'done'])
  })
})

test('what a folder holds, where it lies and whose it is are looked at first', async () => {
  const full = await aFullHome()
  const { home, work, directory } = full
  await symlink(home.dir, join(work, 'link'))
  await mkdir(join(work, 'mine'))
  await writeFile(join(work, 'mine', 'notes.txt'), 'mine')
  const codes: Record<string, string> = {}
  await withNode(home.dir, async (api) => {
    for (const name of ['home', 'home/backup', 'link/deep/backup', 'mine', 'mine/notes.txt', '.']) {
      codes[name] = await codeOf(api.backup({ directory: join(work, name) }))
    }
  })
  expect(codes).toEqual({
    ...{ home: 'USAGE', 'home/backup': 'USAGE', 'link/deep/backup': 'USAGE' },
    ...{ mine: 'EXISTS', 'mine/notes.txt': 'EXISTS', '.': 'EXISTS' },
  })
  expect(await readdir(join(work, 'mine'))).toEqual(['notes.txt'])
  await backupOf(full, directory)
  const other = await aHome()
  expect(await codeOf(backupOf(other, directory))).toBe('EXISTS')
  expect(await checkBackup(directory)).toMatchObject({ problems: [] })
})

test('without keys, nobody can sign with it, and the home it makes has new ones', async () => {
  const full = await aFullHome()
  const { home, work, directory } = full
  await withNode(home.dir, (api) => api.addUser({ name: 'ada' }))
  await backupOf(full, directory, true)
  await backupOf(full, directory, false)
  const secrets = [/identity/, /users/]
  const names = await readdir(directory, { recursive: true })
  expect(names.filter((name) => secrets.some((secret) => secret.test(name)))).toEqual([])
  const seed = JSON.parse(await readFile(join(home.dir, 'identity.json'), 'utf8')) as {
    authorSeed: string
  }
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const bytes = await readFile(join(entry.parentPath, entry.name))
    expect(
      bytes.includes(seed.authorSeed) || bytes.includes(Buffer.from(seed.authorSeed, 'hex')),
    ).toBe(false)
  }
  const restored = await restoreBackup(directory, join(work, 'new'))
  expect(restored.home.publicKey).not.toBe(home.publicKey)
  await withNode(restored.home.dir, async (api) => {
    expect(await api.showDataset('cells')).toMatchObject({ role: 'contributor' })
    expect(await api.verify('cells')).toMatchObject({ ok: true })
  })
})

// ---------------------------------------------------------------- cut off, and damaged

/** Stops a backup at a step of its progress. */
async function cutOff(api: NodeApi, directory: string, what: RegExp): Promise<string> {
  const stop = new AbortController()
  return codeOf(
    api.backup(
      { directory },
      {
        signal: stop.signal,
        onProgress: (progress) => what.test(progress.what) && stop.abort(),
      },
    ),
  )
}

test.each(['copying rows', 'copying blocks'])(
  'a backup that is stopped while %s is none, and the older one stays whole',
  async (what) => {
    const full = await aFullHome()
    const { home, work, directory } = full
    const stopped = () => withNode(home.dir, (api) => cutOff(api, directory, new RegExp(what)))
    expect(await stopped()).toBe('CANCELLED')
    expect(await codeOf(restoreBackup(directory, join(work, 'none')))).toBe('NOT_FOUND')
    expect(await codeOf(openHome(join(work, 'none')))).toBe('HOME_MISSING')
    const { datasets } = await backupOf(full, directory)
    await withNode(home.dir, (api) => addFiles(api, full, manyFiles('more', 30, 1_000)))
    expect(await stopped()).toBe('CANCELLED')
    expect(await checkBackup(directory)).toMatchObject({ manifest: { datasets }, problems: [] })
    await backupOf(full, directory)
    expect((await readdir(directory)).toSorted()).toEqual([
      ...['backup.json', 'blocks'],
      (await readManifest(directory)).state,
    ])
    expect(await checkBackup(directory)).toMatchObject({ problems: [] })
  },
)

test('a restore that is stopped leaves no home, and is done by repeating it', async () => {
  const full = await aFullHome()
  const { work, directory } = full
  const { datasets } = await backupOf(full, directory)
  const target = join(work, 'new')
  const stop = new AbortController()
  const options = { signal: stop.signal, onProgress: () => stop.abort() }
  expect(await codeOf(restoreBackup(directory, target, options))).toBe('CANCELLED')
  expect(await codeOf(openHome(target))).toBe('HOME_MISSING')
  expect(await codeOf(initHome(target, ''))).toBe('HOME_EXISTS')
  await writeFile(join(target, 'config.yaml.tmp'), 'half a file')
  await restoreBackup(directory, target)
  await expectHome(target, datasets[0]?.root ?? '', variedFiles())
  expect(await codeOf(restoreBackup(directory, target))).toBe('HOME_EXISTS')
})

test('a config that lies in the new home is kept, anything else refused', async () => {
  const full = await aFullHome()
  await backupOf(full, full.directory)
  const target = join(full.work, 'new')
  await mkdir(target)
  await writeFile(join(target, 'config.yaml'), '# mine\n')
  await writeFile(join(target, 'notes.txt'), 'mine')
  expect(await codeOf(restoreBackup(full.directory, target))).toBe('HOME_EXISTS')
  await rm(join(target, 'notes.txt'))
  await restoreBackup(full.directory, target)
  expect(await readFile(join(target, 'config.yaml'), 'utf8')).toBe('# mine\n')
})

test('no room is said before anything is written', async () => {
  const full = await aFullHome()
  await backupOf(full, full.directory)
  const target = join(full.work, 'new')
  const freeBytes = async () => 1_000
  expect(await codeOf(restoreBackup(full.directory, target, { freeBytes }))).toBe('DISK')
  expect(await readdir(target)).toEqual([])
})

test('a file of the state that is damaged or missing makes the restore fail with its name', async () => {
  const full = await aFullHome()
  const { directory, work } = full
  await backupOf(full, directory)
  const { state, files } = await readManifest(directory)
  for (const [i, { path }] of files.entries()) {
    const file = join(directory, state, path)
    const bytes = await readFile(file)
    if (bytes.length === 0) continue
    const changed = Buffer.from(bytes)
    changed[bytes.length - 1] = (changed[bytes.length - 1] as number) ^ 1
    await writeFile(file, changed)
    const target = join(work, `new-${i}`)
    await expect(restoreBackup(directory, target)).rejects.toMatchObject({ code: 'HOME_DAMAGED' })
    expect((await checkBackup(directory)).problems).toEqual([`${path} is missing or damaged`])
    await rm(file)
    await expect(restoreBackup(directory, target)).rejects.toThrow(path)
    await writeFile(file, bytes)
    expect(await codeOf(openHome(target))).toBe('HOME_MISSING')
  }
  expect(await checkBackup(directory)).toMatchObject({ problems: [] })
})

test('damaged blocks are named, the rest is restored, and the next backup mends what the home has', async () => {
  const full = await aFullHome()
  const { directory, work } = full
  await backupOf(full, directory)
  const [one = '', two = ''] = await blocksIn(directory)
  await rm(join(directory, 'blocks', one))
  await rm(join(directory, 'blocks', two))
  await writeFile(join(directory, 'blocks', two), 'not it')
  expect((await checkBackup(directory)).problems).toHaveLength(2)
  const { damaged, home } = await restoreBackup(directory, join(work, 'new'))
  expect(damaged).toBe(2)
  await withNode(home.dir, async (api) => {
    const { ok, problems } = await api.verify('cells')
    expect([ok, problems.length]).toEqual([false, 2])
  })
  expect((await backupOf(full, directory)).blocks.added).toBe(2)
  expect(await checkBackup(directory)).toMatchObject({ problems: [] })
})

test('a block of the home that a power cut has emptied takes the place of no good one', async () => {
  const full = await aFullHome()
  await backupOf(full, full.directory)
  const [cut = ''] = await blocksIn(full.home.dir)
  const file = join(full.home.dir, 'blocks', cut)
  const kept = await readFile(join(full.directory, 'blocks', cut))
  for (const rest of [kept.subarray(0, 0), kept.subarray(0, kept.length - 1)]) {
    await rm(file)
    await writeFile(file, rest)
    expect((await backupOf(full, full.directory)).blocks.missing).toBe(1)
    expect(await readFile(join(full.directory, 'blocks', cut))).toEqual(kept)
  }
})

test('what is no file is missing, and is not waited for', async () => {
  const full = await aFullHome()
  await backupOf(full, full.directory)
  const { state } = await readManifest(full.directory)
  const [block = ''] = await blocksIn(full.directory)
  await rm(join(full.directory, 'blocks', block))
  await symlink('/dev/zero', join(full.directory, 'blocks', block))
  expect((await checkBackup(full.directory)).problems).toHaveLength(1)
  await rm(join(full.directory, state, 'config.yaml'))
  await symlink('/dev/zero', join(full.directory, state, 'config.yaml'))
  expect((await checkBackup(full.directory)).problems).toEqual([
    'config.yaml is missing or damaged',
  ])
})

test('blocks that the home has lost are counted, and the backup is made', async () => {
  const full = await aFullHome()
  const [lost = ''] = await blocksIn(full.home.dir)
  await rm(join(full.home.dir, 'blocks', lost))
  const { blocks } = await backupOf(full, full.directory)
  expect(blocks.missing).toBe(1)
  expect(await checkBackup(full.directory)).toMatchObject({ problems: [] })
})

test('a manifest that was changed, is of another format or names files elsewhere is refused', async () => {
  const full = await aFullHome()
  await backupOf(full, full.directory)
  const file = manifestFileOf(full.directory)
  const text = await readFile(file, 'utf8')
  const write = async (change: object, isSealed = true) => {
    const { digest: _, ...manifest } = { ...(JSON.parse(text) as { digest: string }), ...change }
    const sum = createHash('sha256').update(JSON.stringify(manifest)).digest('hex')
    const digest = isSealed ? sum : sum.replace(/^./, (digit) => (digit === '0' ? '1' : '0'))
    await writeFile(file, JSON.stringify({ ...manifest, digest }))
    return codeOf(restoreBackup(full.directory, join(full.work, 'new')))
  }
  const listed = (path: string) => ({
    files: [{ path, sizeBytes: 0, sha256: '0'.repeat(64) }],
  })
  expect(await write({ rows: 1 }, false)).toBe('HOME_DAMAGED')
  expect(await write({ format: 2 })).toBe('HOME_FORMAT')
  for (const change of [
    { state: '..' },
    { state: 'state-../../../../../..' },
    { files: undefined },
    { files: [null] },
    { blocks: { count: -1, bytes: 0, missing: 0 } },
    listed('../../etc/passwd'),
    listed('/etc/passwd'),
    listed('log/../../daemon.json'),
    listed('daemon.json'),
    { keys: 'yes' },
    { datasets: 'none' },
  ]) {
    expect([change, await write(change)]).toEqual([change, 'HOME_DAMAGED'])
  }
  await writeFile(file, 'null')
  expect(await codeOf(checkBackup(full.directory))).toBe('HOME_DAMAGED')
})
