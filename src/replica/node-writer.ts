// Nodes of trees on their way to the disk and back: written in batches, and those met last kept, since
// the upper nodes of a tree are read again for every change below them.
import type { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import type { Write } from '../log/database.ts'
import type { NodeBlocks } from '../log/node-blocks.ts'

const WRITES_PER_BATCH = 1_000
/** More than the upper levels of trees of millions of entries. */
const RECENT_BYTES_MAX = 16 << 20

/** Nodes known to match their CIDs: two generations, of which the older one goes when both are full. */
export class RecentNodes {
  #young = new Map<string, Uint8Array>()
  #old = new Map<string, Uint8Array>()
  #youngBytes = 0

  get(cid: CID): Uint8Array | undefined {
    const key = keyOf(cid)
    const young = this.#young.get(key)
    if (young) return young
    const old = this.#old.get(key)
    if (old) this.#add(key, old)
    return old
  }

  add(cid: CID, bytes: Uint8Array): void {
    this.#add(keyOf(cid), bytes)
  }

  #add(key: string, bytes: Uint8Array): void {
    if (this.#young.has(key)) return
    this.#young.set(key, bytes)
    this.#youngBytes += bytes.length
    if (this.#youngBytes <= RECENT_BYTES_MAX / 2) return
    this.#old = this.#young
    this.#young = new Map()
    this.#youngBytes = 0
  }

  clear(): void {
    this.#young = new Map()
    this.#old = new Map()
    this.#youngBytes = 0
  }
}

/** One character a byte. */
function keyOf(cid: CID): string {
  const { buffer, byteOffset, byteLength } = cid.bytes
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
}

/** Puts nodes in batches. `flush` before the root that needs them is written. */
export class NodeWriter {
  readonly #nodes: NodeBlocks
  readonly #recent: RecentNodes
  #writes: Write[] = []

  constructor({ nodes, recent }: { readonly nodes: NodeBlocks; readonly recent: RecentNodes }) {
    this.#nodes = nodes
    this.#recent = recent
  }

  readonly put = async (cid: CID, bytes: Uint8Array): Promise<void> => {
    this.#writes.push(this.#nodes.putOf(cid, bytes))
    this.#recent.add(cid, bytes)
    if (this.#writes.length >= WRITES_PER_BATCH) await this.flush()
  }

  async flush(): Promise<void> {
    const writes = this.#writes
    this.#writes = []
    await this.#nodes.write(writes)
  }

  /** @throws HOME_DAMAGED */
  readonly get = async (cid: CID): Promise<Uint8Array> => {
    const recent = this.#recent.get(cid)
    if (recent) return recent
    if (this.#writes.length > 0) await this.flush()
    const bytes = await this.#nodes.get(cid)
    if (bytes === undefined) {
      throw new GonkError('HOME_DAMAGED', `tree node ${cid.toString()} is missing or damaged`)
    }
    this.#recent.add(cid, bytes)
    return bytes
  }
}
