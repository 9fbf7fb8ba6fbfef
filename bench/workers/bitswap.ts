// Plain Helia: a folder imported into blockstore-fs on one side, fetched over Bitswap by the other.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { noise } from '@chainsafe/libp2p-noise'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { unixfs } from '@helia/unixfs'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { FsBlockstore } from 'blockstore-fs'
import { createHeliaLight } from 'helia'
import { CID } from 'multiformats/cid'
import { importFolder } from '../import-folder.ts'
import { serve } from '../worker.ts'

/** What performance.md's floor was measured with. */
const FILES_AT_ONCE = 256
const TIMEOUT_MS = 60_000

async function open(dir: string, listen: string[]) {
  const blockstore = new FsBlockstore(join(dir, 'blocks'))
  await blockstore.open()
  const helia = withBitswap(
    withLibp2pLight(
      createHeliaLight({
        blockstore,
        routers: [{ name: 'none', async *findProviders() {} }],
      }),
      {
        addresses: { listen },
        transports: [tcp()],
        connectionEncrypters: [noise()],
        streamMuxers: [yamux()],
        services: { identify: identify() },
      },
    ),
  )
  await helia.start()
  return { helia, blockstore }
}

let node: Awaited<ReturnType<typeof open>> | undefined

const methods = {
  /** @returns its address and the CID of the directory. */
  async share(dir: string, folder: string): Promise<{ address: string; root: string }> {
    node = await open(dir, ['/ip4/127.0.0.1/tcp/0'])
    const root = await importFolder(folder, node.blockstore, (path) => readFile(path))
    return { address: String(node.helia.libp2p.getMultiaddrs()[0]), root: root.toString() }
  },

  /** Fetches the whole directory into `dir`. @returns seconds and files. */
  async fetch(dir: string, address: string, root: string) {
    const { helia } = (node = await open(dir, []))
    await helia.libp2p.dial(multiaddr(address))
    const fs = unixfs(helia)
    const startMs = performance.now()
    const signal = () => AbortSignal.timeout(TIMEOUT_MS)
    const queue: CID[] = []
    for await (const { cid } of fs.ls(CID.parse(root), { signal: signal() })) queue.push(cid)
    const files = queue.length
    const drain = async () => {
      for (let cid = queue.pop(); cid !== undefined; cid = queue.pop()) {
        for await (const _ of fs.cat(cid, { signal: signal() })) continue
      }
    }
    await Promise.all(Array.from({ length: FILES_AT_ONCE }, drain))
    const took = (performance.now() - startMs) / 1000
    await helia.stop()
    return { seconds: took, files }
  },
}

export type BitswapMethods = typeof methods

serve(methods)
