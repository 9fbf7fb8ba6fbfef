import { readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { getPublicKeyAsync } from '@noble/ed25519'
import { expect, it } from 'vitest'
import { newConfigText } from '../../src/config.ts'
import {
  initHome,
  openHome,
  readConfigFile,
  readDaemonFile,
  readOpener,
  removeDaemonFile,
  writeDaemonFile,
  writeOpener,
} from '../../src/home.ts'
import { gonk, tempDir } from './run.ts'

const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)

it('init makes a private home that opens to the same two keys', async () => {
  const dir = join(await tempDir(), 'deep', 'home')
  const home = await initHome(dir, newConfigText('lab'))
  expect(await openHome(dir)).toEqual(home)
  expect(await modeOf(dir)).toBe('700')
  expect((await readdir(dir)).toSorted()).toEqual(['config.yaml', 'identity.json'])
  for (const name of await readdir(dir)) expect(await modeOf(join(dir, name))).toBe('600')
  expect(await readConfigFile(dir)).toBe(newConfigText('lab'))
  expect([home.authorSeed.length, home.peerSeed.length]).toEqual([32, 32])
  expect(home.authorSeed).not.toEqual(home.peerSeed)
})

it.runIf(process.platform === 'linux')(
  'a home where the file system will have none is refused, not tried for ever',
  async () => {
    const path = '/proc/nothing/home'
    await expect(initHome(path, '')).rejects.toMatchObject({ code: 'DISK' })
  },
)

it('the public halves are those of Ed25519 and libp2p', async () => {
  const home = await initHome(await tempDir(), '')
  const publicKey = await getPublicKeyAsync(home.authorSeed)
  expect(home.publicKey).toBe(Buffer.from(publicKey).toString('hex'))
  const peerKey = await generateKeyPairFromSeed('Ed25519', home.peerSeed)
  expect(home.peerId).toBe(peerIdFromPrivateKey(peerKey).toString())
})

it('init refuses a home and any other full directory, and changes nothing', async () => {
  const dir = await tempDir()
  const home = await initHome(dir, '')
  await expect(initHome(dir, '')).rejects.toMatchObject({ code: 'HOME_EXISTS' })
  expect(await openHome(dir)).toEqual(home)
  const other = await tempDir()
  await writeFile(join(other, 'thesis.doc'), '')
  await expect(initHome(other, '')).rejects.toMatchObject({ code: 'HOME_EXISTS' })
  expect(await readdir(other)).toEqual(['thesis.doc'])
})

it('init keeps a config file that lies there, and goes on after a cut-off init', async () => {
  const dir = await tempDir()
  await writeFile(join(dir, 'config.yaml'), 'name: mine\n')
  await writeFile(join(dir, 'identity.json.123.tmp'), '{"form')
  await initHome(dir, newConfigText())
  expect(await readConfigFile(dir)).toBe('name: mine\n')
})

it('open says what is wrong with a home', async () => {
  const dir = await tempDir()
  await expect(openHome(dir)).rejects.toMatchObject({ code: 'HOME_MISSING' })
  await expect(openHome(join(dir, 'none'))).rejects.toMatchObject({ code: 'HOME_MISSING' })
  const damaged = ['', '{}', '[1]', '{"format":1,"authorSeed":"00"}', 'null']
  for (const text of damaged) {
    await writeFile(join(dir, 'identity.json'), text)
    await expect(openHome(dir)).rejects.toMatchObject({ code: 'HOME_DAMAGED' })
  }
  await writeFile(join(dir, 'identity.json'), '{"format":99}')
  await expect(openHome(dir)).rejects.toMatchObject({ code: 'HOME_FORMAT' })
})

it('a place where no directory can be is DISK', async () => {
  const file = join(await tempDir(), 'file')
  await writeFile(file, '')
  await expect(initHome(join(file, 'home'), '')).rejects.toMatchObject({ code: 'DISK' })
})

it('daemon.json is private, comes and goes, and may be rubbish', async () => {
  const home = await initHome(await tempDir(), '')
  expect(await readDaemonFile(home.dir)).toBeUndefined()
  const daemon = { pid: 1, url: 'http://127.0.0.1:1', token: 't' }
  await writeDaemonFile(home, daemon)
  expect(await readDaemonFile(home.dir)).toEqual(daemon)
  expect(await modeOf(join(home.dir, 'daemon.json'))).toBe('600')
  await writeFile(join(home.dir, 'daemon.json'), '{"pid":')
  expect(await readDaemonFile(home.dir)).toBeUndefined()
  await removeDaemonFile(home)
  await removeDaemonFile(home)
})

it('who opened a home is named', async () => {
  const home = await initHome(await tempDir(), '')
  expect(await readOpener(home.dir)).toBe('another process')
  await writeOpener(home, 'gonk-node start')
  expect(await readOpener(home.dir)).toBe(`process ${process.pid} (gonk-node start)`)
})

it('the command init prints the home and its public keys, never the secret ones', async () => {
  const dir = join(await tempDir(), 'home')
  const { status, stdout } = await gonk(['init', '--name', 'lab', '--json'], {
    env: { GONK_HOME: dir },
  })
  const { publicKey, peerId } = await openHome(dir)
  expect([status, JSON.parse(stdout)]).toEqual([0, { home: dir, publicKey, peerId }])
  const again = await gonk(['init', '--home', dir])
  expect(again.status).toBe(1)
  expect(again.stderr).toMatch(/^gonk-node: HOME_EXISTS: .*; choose another --home\n$/)
  const text = await readFile(join(dir, 'config.yaml'), 'utf8')
  expect(text).toContain('\nname: lab\n')
})
