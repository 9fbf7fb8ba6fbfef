// Backups of daemons at work, as people make and restore them: under load, through `kill -9`, and of an
// owner who goes on writing after an old one was restored.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { checkBackup } from '../../src/backup/restore.ts'
import type { BackupResult, DatasetInfo, Owners } from '../../src/contract/api.ts'
import { randomFrom } from '../crash/random.ts'
import { aWorld, type TestNode, until, type World } from '../node/daemon.ts'
import { bytesOf, manyFiles, writeFiles } from '../node/folders.ts'

const ROUNDS = Number(process.env['GONK_CRASH_ROUNDS'] ?? 2)
const seed = Number(process.env['GONK_SEED'] ?? Date.now() % 1_000_000)

async function add(node: TestNode, world: World, prefix: string, count = 5, accept = true) {
  const dir = await writeFiles(join(world.dir, 'files', prefix), manyFiles(prefix, count, 4_000))
  return node.api.add('cells', { paths: [dir], accept })
}

const rootOf = async ({ api }: TestNode) => (await api.root('cells')).root

async function equal(...nodes: readonly TestNode[]): Promise<string> {
  return until(`${nodes.map(({ name }) => name).join(', ')} have one root`, async () => {
    const roots = new Set(await Promise.all(nodes.map(rootOf)))
    const infos = await Promise.all(nodes.map(({ api }) => api.showDataset('cells')))
    const isWhole = infos.every(({ sync }) => sync.missingFiles === 0)
    return roots.size === 1 && isWhole ? [...roots][0] : undefined
  })
}

/** An owner with a dataset, and others that follow it. */
async function following(world: World, owner: string, ...others: readonly string[]) {
  const [a, ...rest] = world.nodes(owner, ...others)
  await Promise.all([a, ...rest].map((node) => node?.start()))
  const first = a as TestNode
  await first.api.createDataset({ name: 'cells' })
  await add(first, world, 'first')
  const ref = await rootOf(first)
  for (const node of rest) await node.api.clone({ ref, peers: [first.address] })
  return [first, ...rest]
}

test('a backup under load is of one moment, verifies, and a node made of it catches up', async () => {
  const world = await aWorld()
  const [a, b] = (await following(world, 'A', 'B')) as [TestNode, TestNode]
  const { publicKey: author } = await b.api.status()
  const load = { goesOn: true }
  const working = [
    (async () => {
      for (let i = 0; load.goesOn; i++) await add(a, world, `load-${i}`)
    })(),
    (async () => {
      for (let i = 0; load.goesOn; i++) {
        await add(b, world, `proposed-${i}`, 2, false)
        await a.api.review('cells', { verdict: 'accept', all: { author } })
      }
    })(),
    (async () => {
      while (load.goesOn) await a.api.gc().catch(() => undefined)
    })(),
  ]
  const directory = join(world.dir, 'backup')
  const backups: BackupResult[] = []
  for (let i = 0; i < 3; i++) backups.push(await a.json('backup', directory))
  load.goesOn = false
  await Promise.all(working)
  const last = backups.at(-1) as BackupResult
  expect(last.blocks.missing).toBe(0)
  const now = await equal(a, b)
  await a.daemon.stop()

  const restored = world.node('restored')
  expect(await restored.json('restore', directory)).toMatchObject({ damaged: 0, keys: true })
  expect(await restored.json('root', 'cells')).toMatchObject({ root: last.datasets[0]?.root })
  expect(await restored.json('verify', 'cells')).toMatchObject({ ok: true, problems: [] })
  await restored.start(['--peer', b.address])
  expect(await equal(restored, b)).toBe(now)
})

test('T39 an owner restored from an old backup keeps writing: all converge, and its two histories are shown', async () => {
  const world = await aWorld()
  const [a, b, c] = (await following(world, 'A', 'B', 'C')) as [TestNode, TestNode, TestNode]
  const directory = join(world.dir, 'backup')
  await a.json('backup', directory)
  for (let i = 0; i < 3; i++) await add(a, world, `lost-${i}`)
  await equal(a, b, c)
  await a.daemon.stop()

  const restored = world.node('restored')
  const { stderr } = await restored.run('restore', directory)
  expect(stderr).toContain('never run both at the same time')
  const offline = await writeFiles(join(world.dir, 'offline'), manyFiles('offline', 3, 2_000))
  await restored.json('add', 'cells', offline, '--accept')
  await restored.start(['--peer', b.address, '--peer', c.address])
  await equal(restored, b, c)
  await add(restored, world, 'online')
  await equal(restored, b, c)

  const nodes = [restored, b, c]
  const { publicKey } = await restored.api.status()
  for (const node of nodes) {
    const { forks = [] } = (await node.api.owners('cells')) as Owners
    expect(forks).toHaveLength(1)
    const [{ key, events } = { key: '', events: [] }] = forks
    expect([key, new Set(events).size]).toEqual([publicKey, 2])
    expect((await node.api.showDataset('cells')) as DatasetInfo).toMatchObject({ forks })
    for (const event of events) {
      expect(await node.api.show('cells', event)).toMatchObject({ author: publicKey })
    }
    const text = await world.node(node.name).run('owner', 'list', 'cells')
    for (const event of events) expect(text.stdout).toContain(event)
    const told = node.daemon.lines().filter(({ msg }) => /two histories/.test(String(msg)))
    expect(told).toMatchObject([{ level: 'warn', key: publicKey, events }])
    expect(await node.api.verify('cells')).toMatchObject({ ok: true })
  }
  const { counts } = await b.api.showDataset('cells')
  expect(counts.files).toBe(5 + 15 + 3 + 5)
})

test(`${ROUNDS} times killed: no half of a backup or of a restore is taken for a whole one`, async () => {
  process.stdout.write(`GONK_SEED=${seed} GONK_CRASH_ROUNDS=${ROUNDS}\n`)
  const random = randomFrom(seed)
  const world = await aWorld()
  const [a] = (await following(world, 'A')) as [TestNode]
  const dir = await writeFiles(join(world.dir, 'many'), manyFiles('many', 300, 3_000))
  await a.api.add('cells', { paths: [dir], accept: true })
  const directory = join(world.dir, 'backup')
  for (let round = 0; round < ROUNDS; round++) {
    // The daemon makes the backup, so it is the daemon that dies.
    const killAt = random.integer(round === 0 ? 300 : 4)
    let steps = 0
    const onProgress = () => void (steps++ === killAt && a.daemon.child.kill('SIGKILL'))
    await a.api.backup({ directory }, { onProgress }).catch(() => undefined)
    await a.daemon.kill()
    const isBackup = (await readdir(directory).catch((): string[] => [])).includes('backup.json')
    if (isBackup) expect(await checkBackup(directory)).toMatchObject({ problems: [] })
    await a.start()
    await a.api.upload('cells', { name: `${round}` }, once(bytesOf(`${round}`, 9_000)))
    await a.api.review('cells', { verdict: 'accept', all: {} })
    const { datasets } = await a.api.backup({ directory })
    expect(datasets[0]?.root).toBe(await rootOf(a))

    const restored = world.node(`restored-${round}`)
    const restoring = restored.begin(['restore', directory])
    await pause(200 + random.integer(500))
    restoring.kill()
    await restoring.ended
    const names = await readdir(restored.home).catch(() => [] as string[])
    if (!names.includes('identity.json')) {
      if (names.includes('restore.partial')) {
        const { status, stdout } = await restored.run('status')
        expect([status, stdout]).toEqual([1, expect.stringContaining('HOME_MISSING')])
      }
      await restored.json('restore', directory)
    }
    expect(await restored.json('root', 'cells')).toMatchObject({ root: datasets[0]?.root })
    expect(await restored.json('verify', 'cells')).toMatchObject({ ok: true, problems: [] })
  }
})

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
