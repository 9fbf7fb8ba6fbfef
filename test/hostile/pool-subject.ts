// A replica with a pool of a given size, a clock that stands still until it is moved, and proposals
// that are quick to sign.
import { MemoryLevel } from 'memory-level'
import type { Genesis, Proposal } from '../../src/core/event.ts'
import { hexOf } from '../../src/core/ids.ts'
import { nodeCrypto, sha256 } from '../../src/crypto.ts'
import { checkFormat, type Database } from '../../src/log/database.ts'
import { DatasetLog } from '../../src/log/dataset-log.ts'
import { HeldFiles } from '../../src/log/held-files.ts'
import { NodeBlocks } from '../../src/log/node-blocks.ts'
import type { Source } from '../../src/replica/pool.ts'
import { Replica } from '../../src/replica/replica.ts'
import { syncSourceOf } from '../../src/replica/sync-source.ts'
import { silentLogger } from '../api/make-node.ts'
import { file } from '../makers.ts'
import { createOf, genesisBy, proposalBy } from '../replica/subject.ts'
import { signerNamed } from '../signing.ts'

const crypto = nodeCrypto()
export const owner = signerNamed('owner of the pool')
export const genesis: Genesis = genesisBy(owner)

let made = 0
/** Of the author; of a size that hardly varies. */
export function aProposal(author: string, files = 1): Proposal {
  const operations = Array.from({ length: files }, () => createOf(file(`f${made++}`)))
  return proposalBy(signerNamed(author), genesis.id, ...operations)
}

export class PoolSubject {
  readonly db: Database = new MemoryLevel({ keyEncoding: 'view', valueEncoding: 'view' })
  readonly nodes = new NodeBlocks(this.db)
  nowMs = Date.UTC(2026, 0, 1)
  poolBytesMax: number
  replica!: Replica

  private constructor(poolBytesMax: number) {
    this.poolBytesMax = poolBytesMax
  }

  static async open(poolBytesMax = Number.POSITIVE_INFINITY): Promise<PoolSubject> {
    const subject = new PoolSubject(poolBytesMax)
    await checkFormat(subject.db)
    await subject.reopen()
    await subject.replica.submit([genesis.block])
    return subject
  }

  get log(): DatasetLog {
    return this.replica.log
  }

  get source() {
    return syncSourceOf(this.replica, this.nodes, sha256)
  }

  async reopen(): Promise<void> {
    const { db, nodes } = this
    this.replica = await Replica.open({
      db,
      log: new DatasetLog(db, genesis.id, 1),
      nodes,
      held: new HeldFiles(db),
      crypto,
      clock: { nowMs: () => this.nowMs, sleep: async () => {} },
      logger: silentLogger,
      poolBytesMax: this.poolBytesMax,
    })
  }

  /** What a peer told of without being asked; one batch. @returns whether each is here afterwards */
  async told(peer: string, ...proposals: readonly Proposal[]): Promise<boolean[]> {
    return this.#from({ peer, isNews: true }, proposals)
  }

  /** What a peer gave when it was asked. */
  async gave(peer: string, ...proposals: readonly Proposal[]): Promise<boolean[]> {
    return this.#from({ peer, isNews: false }, proposals)
  }

  /** What a peer told of whose address the user gave. */
  async named(peer: string, ...proposals: readonly Proposal[]): Promise<boolean[]> {
    return this.#from({ peer, isNews: true, isNamed: true }, proposals)
  }

  async #from(source: Source, proposals: readonly Proposal[]): Promise<boolean[]> {
    await this.replica.submit(
      proposals.map(({ block }) => block),
      source,
    )
    return this.holds(...proposals)
  }

  async holds(...proposals: readonly Proposal[]): Promise<boolean[]> {
    return this.log.hasMany(proposals.map(({ id }) => id))
  }

  async poolBytes(): Promise<number> {
    return (await this.log.meta<number>('poolBytes')) ?? 0
  }

  /** What the rows of proposals say. */
  async countedBytes(): Promise<number> {
    let bytes = 0
    for await (const [, row] of this.log.allProposals()) {
      if (!row.own && !row.named) bytes += row.poolBytes
    }
    return bytes
  }

  /** Hex of keys and values, but for nodes of trees. */
  async rows(): Promise<string[]> {
    const rows: string[] = []
    for await (const [key, value] of this.db.iterator()) {
      if (key[0] !== 'n'.charCodeAt(0)) rows.push(`${hexOf(key)} ${hexOf(value)}`)
    }
    return rows
  }

  async countNodes(): Promise<number> {
    let count = 0
    for await (const _ of this.nodes.list()) count++
    return count
  }
}
