// A Helia node on our own libp2p instance, so that any IPFS peer can fetch by Bitswap what this
// node shares. It knows no gateway, bootstrap node or public router.
import { withBitswap } from '@helia/bitswap'
import type { HeliaWithLibp2p } from '@helia/libp2p'
import type { Libp2p, ServiceMap } from '@libp2p/interface'
import { BaseBlockstore } from 'blockstore-core'
import { createHeliaLight, type HeliaInit } from 'helia'
import type { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { AbortOptions, Blocks } from '../ports.ts'

export interface HeliaNeeds {
  readonly blocks: Blocks
  /** Running; started and stopped by whoever made it. */
  readonly libp2p: Libp2p
  /** Whether a block may be given to any peer that asks: it is under a root this node shares. */
  readonly mayServe: (cid: CID) => boolean | Promise<boolean>
  /** Helia's own records; in memory when not given. */
  readonly datastore?: HeliaInit['datastore']
}

export interface HeliaNode {
  /**
   * Its blockstore holds what may be served and nothing else, and asks connected IPFS peers for the
   * rest: give every `get` a signal, because one that nobody answers never ends.
   */
  readonly helia: HeliaWithLibp2p<ServiceMap>
  /** Ends Bitswap; leaves libp2p and the blocks as they are. */
  stop(): Promise<void>
}

/** Makes the node and starts Bitswap on `libp2p`. */
export async function openHelia(needs: HeliaNeeds): Promise<HeliaNode> {
  const light = createHeliaLight({
    blockstore: new SharedBlocks(needs.blocks, needs.mayServe),
    ...(needs.datastore !== undefined && { datastore: needs.datastore }),
    // Without any router Helia fails each lookup; peers are found by the network layer, not here.
    routers: [{ name: 'none', async *findProviders() {} }],
  })
  const helia = withBitswap(Object.assign(light, { libp2p: needs.libp2p }))
  await helia.start()
  return {
    helia,
    async stop() {
      await helia.stop()
    },
  }
}

/** What Bitswap looks for in an error to answer "don't have". */
class NotFoundError extends Error {
  override readonly name = 'NotFoundError'
}

/** Our blocks as Helia wants them: only those shared can be seen, and none can be deleted. */
export class SharedBlocks extends BaseBlockstore {
  readonly #blocks: Blocks
  readonly #mayServe: HeliaNeeds['mayServe']

  constructor(blocks: Blocks, mayServe: HeliaNeeds['mayServe']) {
    super()
    this.#blocks = blocks
    this.#mayServe = mayServe
  }

  // What cannot be read is answered like what is not here: Bitswap stalls on any other error.

  override async has(cid: CID): Promise<boolean> {
    try {
      return (await this.#mayServe(cid.toV1())) && (await this.#blocks.has(cid))
    } catch {
      return false
    }
  }

  override async *get(cid: CID, options?: AbortOptions): AsyncGenerator<Uint8Array> {
    let bytes: Uint8Array | undefined
    let cause: unknown
    try {
      if (await this.#mayServe(cid.toV1())) bytes = await this.#blocks.get(cid, options)
    } catch (error) {
      cause = error
    }
    if (bytes === undefined) throw new NotFoundError(`block ${cid} is not here`, { cause })
    yield bytes
  }

  /** Called by Helia with what it fetched and verified. */
  override async put(
    cid: CID,
    source: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<CID> {
    const pieces: Uint8Array[] = []
    let length = 0
    for await (const piece of source instanceof Uint8Array ? [source] : source) {
      pieces.push(piece)
      length += piece.length
      if (length > limits.blockBytesMax)
        throw new GonkError('TOO_LARGE', `block ${cid} is too large`)
    }
    await this.#blocks.put(
      cid,
      pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces),
    )
    return cid
  }

  override delete(cid: CID): Promise<void> {
    return Promise.reject(new GonkError('UNSUPPORTED', `Helia may not delete block ${cid}`))
  }

  override async *getAll(): AsyncGenerator<never> {}
}
