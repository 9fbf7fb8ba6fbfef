import { noise } from '@chainsafe/libp2p-noise'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { unixfs } from '@helia/unixfs'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createHeliaLight } from 'helia'
import { createLibp2p } from 'libp2p'
import type { CID } from 'multiformats/cid'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { memoryBlocks } from '../../src/files/blocks.ts'
import { createFileStore } from '../../src/files/file-store.ts'
import { type HeliaNode, openHelia, SharedBlocks } from '../../src/files/helia.ts'
import { cidFor } from '../conformance/blocks-suite.ts'
import { collect } from '../conformance/collect.ts'
import { pattern } from '../conformance/file-store-suite.ts'

const libp2pSettings = () => ({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify() },
})

async function ourNode() {
  const blocks = memoryBlocks()
  const shared = new Set<string>()
  const libp2p = await createLibp2p(libp2pSettings())
  const helia = await openHelia({ blocks, libp2p, mayServe: (cid) => shared.has(String(cid)) })
  return {
    blocks,
    files: createFileStore(blocks),
    libp2p,
    helia: helia.helia,
    async share(root: CID) {
      for await (const { cid } of createFileStore(blocks).walk(root)) shared.add(String(cid))
    },
    async stop() {
      await helia.stop()
      await libp2p.stop()
    },
    node: helia as HeliaNode,
  }
}

/** Stock software: Helia with an ordinary libp2p of its own, which knows nothing of Gonk. */
async function strangerNode() {
  const helia = withBitswap(withLibp2pLight(createHeliaLight(), libp2pSettings()))
  await helia.start()
  return helia
}

describe('Helia on our libp2p', () => {
  let ours: Awaited<ReturnType<typeof ourNode>>
  beforeEach(async () => {
    ours = await ourNode()
  })
  afterEach(() => ours.stop())

  const within = (ms: number) => ({ signal: AbortSignal.timeout(ms) })

  test('a stock IPFS peer fetches a shared file by Bitswap', async () => {
    const bytes = pattern(5_000_000, 11)
    const { cid } = await ours.files.put([bytes])
    await ours.share(cid)
    const stranger = await strangerNode()
    try {
      await stranger.libp2p.dial(ours.libp2p.getMultiaddrs()[0] as never, within(5_000))
      const got = Buffer.concat(await collect(unixfs(stranger).cat(cid, within(20_000))))
      expect(got.equals(bytes)).toBe(true)
    } finally {
      await stranger.stop()
    }
  })

  test('a block that is not shared is not given, though it is here', async () => {
    const secret = await ours.files.put([pattern(1000, 5)])
    const shared = await ours.files.put([pattern(1000, 7)])
    await ours.share(shared.cid)
    const stranger = await strangerNode()
    try {
      await stranger.libp2p.dial(ours.libp2p.getMultiaddrs()[0] as never, within(5_000))
      const asked = collect(stranger.blockstore.get(secret.cid, within(1_500)))
      expect((await collect(stranger.blockstore.get(shared.cid, within(10_000))))[0]?.length).toBe(
        1000,
      )
      await expect(asked).rejects.toThrow()
      expect(await ours.blocks.has(secret.cid)).toBe(true)
    } finally {
      await stranger.stop()
    }
  })

  test('two of our nodes exchange a file, and what is fetched is kept', async () => {
    const theirs = await ourNode()
    try {
      const bytes = pattern(3_000_000, 13)
      const { cid } = await ours.files.put([bytes])
      await ours.share(cid)
      await theirs.libp2p.dial(ours.libp2p.getMultiaddrs()[0] as never, within(5_000))
      await collect(unixfs(theirs.helia).cat(cid, within(20_000)))
      expect(Buffer.concat(await collect(theirs.files.read(cid))).equals(bytes)).toBe(true)
    } finally {
      await theirs.stop()
    }
  })

  test('stopping leaves libp2p running and ends Bitswap', async () => {
    expect(ours.libp2p.getProtocols()).toContain('/ipfs/bitswap/1.2.0')
    await ours.node.stop()
    expect(ours.libp2p.status).toBe('started')
    expect(ours.libp2p.getProtocols()).not.toContain('/ipfs/bitswap/1.2.0')
  })
})

test('a disk or a check that fails looks to Bitswap like an absent block', async () => {
  const bytes = pattern(10)
  const blocks = memoryBlocks()
  blocks.get = async () => {
    throw new Error('bad disk')
  }
  const failing = new SharedBlocks(blocks, () => true)
  await expect(collect(failing.get(cidFor(bytes)))).rejects.toMatchObject({ name: 'NotFoundError' })
  const unknowing = new SharedBlocks(memoryBlocks(), () => Promise.reject(new Error('closed')))
  await expect(collect(unknowing.get(cidFor(bytes)))).rejects.toMatchObject({
    name: 'NotFoundError',
  })
  expect(await unknowing.has(cidFor(bytes))).toBe(false)
})
