// What a stock IPFS node sees: Helia, libp2p and Bitswap, nothing of ours.
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { noise } from '@chainsafe/libp2p-noise'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagPb from '@ipld/dag-pb'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createHeliaLight } from 'helia'
import { exporter } from 'ipfs-unixfs-exporter'
import * as Block from 'multiformats/block'
import { CID } from 'multiformats/cid'
import type { BlockCodec } from 'multiformats/codecs/interface'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ObjectInfo } from '../../src/contract/api.ts'
import { type TestNode, World } from './daemon.ts'
import { bytesOf, manyFiles, writeFiles } from './folders.ts'

type Stranger = Awaited<ReturnType<typeof aStranger>>

const large = bytesOf('large', 3 * 1024 * 1024 + 5)
const text = (value: string) => Buffer.from(value)

let world: World
let a: TestNode
let stranger: Stranger

async function aStranger() {
  const helia = withBitswap(
    withLibp2pLight(createHeliaLight(), {
      addresses: { listen: [] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: { identify: identify() },
    }),
  )
  await helia.start()
  return helia
}

async function fetched(cid: CID, ms = 20_000): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of stranger.blockstore.get(cid, { signal: AbortSignal.timeout(ms) })) {
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

const codecs = new Map<number, BlockCodec<number, unknown>>(
  [dagCbor, dagPb, raw].map((codec) => [codec.code, codec as BlockCodec<number, unknown>]),
)

/** Every block below a root, as any IPLD walker finds them. @returns all CIDs as text. */
async function walk(root: CID): Promise<Set<string>> {
  const seen = new Set([root.toString()])
  let level = [root]
  while (level.length > 0) {
    const links = await Promise.all(
      level.map(async (cid) => {
        const codec = codecs.get(cid.code) as BlockCodec<number, unknown>
        const block = await Block.create({ bytes: await fetched(cid), cid, codec, hasher: sha256 })
        return [...block.links()].map(([, link]) => link as CID)
      }),
    )
    level = links.flat().filter((link) => {
      const isNew = !seen.has(link.toString())
      seen.add(link.toString())
      return isNew
    })
  }
  return seen
}

async function contentOf(path: string): Promise<Buffer> {
  const entry = await exporter(path, stranger.blockstore, { signal: AbortSignal.timeout(20_000) })
  if (entry.type === 'object' || entry.type === 'directory') throw new Error(`${path} is no file`)
  const pieces: Uint8Array[] = []
  for await (const piece of entry.content()) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** Adds files. @returns the events, and the CIDs of the files. */
async function added(files: Record<string, Uint8Array>, accept = false) {
  const dir = await writeFiles(await mkdtemp(join(world.dir, 'files-')), files)
  const cids: string[] = []
  const onObject = ({ cid }: ObjectInfo) => void cids.push(cid)
  const { events } = await a.api.add('cells', { paths: [dir], accept }, { onObject })
  return { events, cids }
}

/** What is and what was accepted, and what never was. */
const content = { accepted: [] as string[], never: [] as string[] }

beforeAll(async () => {
  world = await World.create()
  a = world.node('A')
  await a.start()
  await a.api.createDataset({ name: 'cells' })
  content.accepted.push(
    ...(await added({ 'kept.txt': text('first'), 'large.tif': large }, true)).cids,
    ...(await added({ 'gone.txt': text('deleted later') }, true)).cids,
    ...(await added({ 'kept.txt': text('second') }, true)).cids,
  )
  const rejected = await added({ 'rejected.bin': bytesOf('rejected', 1_500_000) })
  const pending = await added({ 'pending.txt': text('waits') })
  content.never.push(...rejected.cids, ...pending.cids)
  const { events } = await a.api.removeObjects('cells', ['gone.txt'])
  await a.api.review('cells', { verdict: 'accept', items: events })
  await a.api.review('cells', { verdict: 'reject', items: rejected.events })
  stranger = await aStranger()
  await stranger.libp2p.dial(multiaddr(a.address))
})

afterAll(async () => {
  await stranger?.stop()
  await world.close()
})

it('T52: a walk from the root reaches every accepted byte, superseded and deleted ones too', async () => {
  const { root, stateRoot } = await a.api.root('cells')
  const seen = await walk(CID.parse(root))
  expect([...seen]).toEqual(expect.arrayContaining([stateRoot, ...content.accepted]))
  const files = await Promise.all(content.accepted.map((cid) => contentOf(cid)))
  const texts = files.filter(({ length }) => length < 100).map(String)
  expect(texts).toEqual(expect.arrayContaining(['first', 'second', 'deleted later']))
  expect(files.some((bytes) => bytes.equals(large))).toBe(true)
})

it('T52: nothing that was rejected or waits is reached; Bitswap does not give it either', async () => {
  const { root } = await a.api.root('cells')
  const seen = await walk(CID.parse(root))
  expect(content.never.filter((cid) => seen.has(cid))).toEqual([])
  expect(content.never).toHaveLength(2)
  const asked = content.never.map((cid) => fetched(CID.parse(cid), 1_500))
  const outcomes = await Promise.allSettled(asked)
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
})

it('T52: ROOT/files/NAME is the file, in directories of any size', async () => {
  const many = manyFiles(`wide/${'n'.repeat(230)}`, 1_200, 8)
  await added({ ...many, 'deep/er/leaf.txt': text('leaf') }, true)
  const { root } = await a.api.root('cells')
  const snapshot = dagCbor.decode<{ files: CID }>(await fetched(CID.parse(root)))
  for (const base of [`${root}/files`, snapshot.files.toString()]) {
    expect(String(await contentOf(`${base}/kept.txt`))).toBe('second')
    expect(String(await contentOf(`${base}/deep/er/leaf.txt`))).toBe('leaf')
    expect((await contentOf(`${base}/large.tif`)).equals(large)).toBe(true)
    await expect(contentOf(`${base}/gone.txt`)).rejects.toThrow()
    await expect(contentOf(`${base}/rejected.bin`)).rejects.toThrow()
  }
  const wide = await exporter(`${root}/files/wide`, stranger.blockstore)
  expect(wide.type === 'directory' && wide.unixfs.type).toBe('hamt-sharded-directory')
  const names = Object.keys(many)
  for (const name of [names[0], names[777], names.at(-1)] as string[]) {
    const bytes = await contentOf(`${root}/files/${name}`)
    expect(bytes.equals(many[name] as Buffer)).toBe(true)
  }
})
