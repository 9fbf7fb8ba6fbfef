// Nodes of trees on their way to the disk and back: written in batches, and those met last kept, since
// the upper nodes of a tree are read again for every change below them.
import type { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import type { Write } from '../log/database.ts'
import type { NodeBlocks } from '../log/node-blocks.ts'

const WRITES_PER_BATCH = 2_000
/** More than the upper levels of trees of millions of entries. */
const RECENT_BYTES_MAX = 16 << 20

/** Nodes known to match their CIDs, the one used longest ago first. */
export class RecentNodes {
  readonly #nodes = new Map<string, Uint8Array>()
  #bytes = 0

  get(cid: CID): Uint8Array | undefined {
    const bytes = this.#nodes.get(keyOf(cid))
    if (bytes) this.add(cid, bytes)
    return bytes
  }

  add(cid: CID, bytes: Uint8Array): void {
    const key = keyOf(cid)
    this.#bytes += bytes.length - (this.#nodes.get(key)?.length ?? 0)
    this.#nodes.delete(key)
    this.#nodes.set(key, bytes)
    for (const [oldest, { length }] of this.#nodes) {
      if (this.#bytes <= RECENT_BYTES_MAX) return
      this.#nodes.delete(oldest)
      this.#bytes -= length
    }
  }

  clear(): void {
    this.#nodes.clear()
    this.#bytes = 0
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
