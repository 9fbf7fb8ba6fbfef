// kill -9 of a peer while it fetches a large change. It is started again, and that is all.
import { beforeAll, expect, it } from 'vitest'
import type { VerifyResult } from '../../src/contract/api.ts'
import { until } from '../node/daemon.ts'
import {
  contributorB,
  docker,
  everybody,
  IMAGE,
  maintainer,
  type Peer,
  sameRoot,
  seeder,
} from './peers.ts'

const FILES = 1_500
const FILE_BYTES = 100 * 1024
const ALL_BYTES = FILES * FILE_BYTES
/** For these over two peers, on a machine that is busy. */
const FOLLOWED_MS = 120_000

const BYTES_UNDER = `
  const { readdirSync, statSync } = require('node:fs')
  const sizes = readdirSync(process.argv[1], { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(entry.parentPath + '/' + entry.name).size)
  console.info(sizes.reduce((sum, size) => sum + size, 0))
`

const BLOCKS = '/data/blocks'

/** What a peer that does not run has on disk of its files. */
async function bytesLeftOn({ container }: Peer): Promise<number> {
  const command = ['run', '--rm', '--network', 'none', '--volumes-from', container]
  const program = ['--entrypoint', 'node', IMAGE, '-e', BYTES_UNDER, BLOCKS]
  return Number(await docker(...command, ...program))
}

beforeAll(() => Promise.all(everybody.map((peer) => peer.ready())))

it('a peer that is killed while it fetches goes on where it was', async () => {
  await maintainer.gonk('dataset', 'create', 'large')
  const first = await maintainer.makeFiles('large-first', 1, 1_000)
  await maintainer.gonk('add', 'large', first, '--accept')
  const root = await maintainer.root('large')
  await seeder.gonk('clone', root, '--peer', await maintainer.address())
  await contributorB.gonk('clone', root, '--peer', await seeder.address())
  const bytesOn = (peer: Peer) => peer.program<number>(BYTES_UNDER, BLOCKS)
  const before = await bytesOn(contributorB)

  const source = await maintainer.makeFiles('large', FILES, FILE_BYTES)
  const adding = maintainer.gonk('add', 'large', source, '--accept')
  const arriving = async () => (await bytesOn(contributorB)) - before > ALL_BYTES / 10
  await until('files arrive at B', arriving, FOLLOWED_MS)
  await contributorB.kill()
  const had = (await bytesLeftOn(contributorB)) - before
  process.stdout.write(`killed with ${had} of ${ALL_BYTES} bytes\n`)
  expect(had).toBeLessThan(ALL_BYTES)
  await adding

  const startedAtMs = Date.now()
  await contributorB.start()
  await sameRoot('large', [maintainer, seeder, contributorB], FOLLOWED_MS)
  const hasFiles = async () => (await contributorB.missingFiles('large')) === 0
  await until('B has all files', hasFiles, FOLLOWED_MS)
  process.stdout.write(`had all ${Date.now() - startedAtMs} ms after the start\n`)
  const verified = await contributorB.gonk<VerifyResult>('verify', 'large')
  expect(verified).toMatchObject({ ok: true, problems: [] })
  expect(verified.bytes).toBeGreaterThan(ALL_BYTES)
  await contributorB.gonk('checkout', 'large', '/tmp/large-out')
  expect(await contributorB.digests('/tmp/large-out')).toEqual({
    ...(await maintainer.digests(first)),
    ...(await maintainer.digests(source)),
  })
})
