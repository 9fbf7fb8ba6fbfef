// A replica over a database in memory that may fail, and short ways to sign what it takes in.
import type { Draft } from '../../src/core/event-codec.ts'
import type {
  Event,
  FileValue,
  Genesis,
  Operation,
  OwnerEvent,
  Proposal,
} from '../../src/core/event.ts'
import { type DatasetId, founderTenure, type TenureId } from '../../src/core/ids.ts'
import { nodeCrypto } from '../../src/crypto.ts'
import { DatasetLog } from '../../src/log/dataset-log.ts'
import { HeldFiles } from '../../src/log/held-files.ts'
import { NodeBlocks } from '../../src/log/node-blocks.ts'
import type { Logger, Signer } from '../../src/ports.ts'
import type { Keep } from '../../src/replica/keep.ts'
import { Replica } from '../../src/replica/replica.ts'
import { steppingClock } from '../api/make-node.ts'
import type { SelfFork } from '../../src/replica/self-forks.ts'
import { blockOf, signerNamed } from '../signing.ts'
import { FaultyDatabase } from './faulty-database.ts'
import { decoded } from './signed-history.ts'

const crypto = nodeCrypto()

export const F = signerNamed('F')
export const A = signerNamed('A')
export const B = signerNamed('B')
export const stranger = signerNamed('stranger')

export class Subject {
  readonly disk = new FaultyDatabase()
  readonly dataset: DatasetId
  poolBytesMax = Number.POSITIVE_INFINITY
  /** Small, so that what is published in parts is so here too. */
  partMax: number | undefined = 8
  keep: Keep | undefined
  /** Signatures looked at so far. */
  verified = 0
  /** Forks that it was told of. */
  readonly forks: SelfFork[] = []
  /** Messages of the warnings so far. */
  readonly warnings: string[] = []
  #process = this.disk.open()
  replica!: Replica

  constructor(dataset: DatasetId) {
    this.dataset = dataset
  }

  get hasEnded(): boolean {
    return this.#process.hasEnded()
  }

  get log(): DatasetLog {
    return this.replica.log
  }

  get nodes(): NodeBlocks {
    return new NodeBlocks(this.disk.disk)
  }

  /** As a new process does. */
  async reopen(): Promise<this> {
    this.disk.heal()
    this.#process = this.disk.open()
    const { db } = this.#process
    const logger: Logger = {
      debug() {},
      info() {},
      warn: (_, message) => this.warnings.push(message),
      error: (_, message) => this.warnings.push(message),
    }
    this.replica = await Replica.open({
      db,
      log: new DatasetLog(db, this.dataset, 1),
      nodes: new NodeBlocks(db),
      held: new HeldFiles(db),
      crypto: {
        ...crypto,
        verify: (...what) => crypto.verify(...what).finally(() => this.verified++),
      },
      clock: steppingClock(),
      logger,
      poolBytesMax: this.poolBytesMax,
      partMax: this.partMax,
      ...(this.keep && { keep: this.keep }),
      onSelfForks: (forks) => this.forks.push(...forks),
    })
    return this
  }

  async submit(...events: readonly Event[]) {
    return this.replica.submit(events.map(({ block }) => block))
  }
}

export function genesisBy(...founders: readonly Signer[]): Genesis {
  const draft: Draft = {
    family: 'genesis',
    founders: founders.map(({ publicKey }) => publicKey),
    kOwner: 1,
    kReview: 1,
    nonce: new Uint8Array(16),
    claimedAtMs: 0,
  }
  return decoded(blockOf(draft, founders[0] as Signer)) as Genesis
}

let claimedAtMs = 0

export function proposalBy(
  signer: Signer,
  dataset: DatasetId,
  ...operations: readonly Operation[]
): Proposal {
  const draft: Draft = { family: 'proposal', dataset, operations, claimedAtMs: claimedAtMs++ }
  return decoded(blockOf(draft, signer)) as Proposal
}

export const createOf = (value: FileValue): Operation => ({ op: 'create', value })

type Body = Extract<Draft, { family: 'owner' }>['body']

/** An owner event on these parents; `tenure`: of the first founder unless an add is given. */
export function ownerEventBy(
  signer: Signer,
  dataset: DatasetId,
  body: Body,
  parents: readonly Event[],
  by: number | OwnerEvent = 0,
): OwnerEvent {
  const draft: Draft = {
    family: 'owner',
    dataset,
    tenure: typeof by === 'number' ? founderTenure(by) : (by.id as string as TenureId),
    depth: 1 + Math.max(...parents.map((parent) => ('depth' in parent ? parent.depth : 0))),
    parents: parents.map(({ id }) => id).sort(),
    body,
    claimedAtMs: claimedAtMs++,
  }
  return decoded(blockOf(draft, signer)) as OwnerEvent
}

export function reviewOf(verdict: 'accept' | 'reject', ...proposals: readonly Proposal[]): Body {
  return { kind: 'review', verdict, items: proposals.map(({ id }) => ({ proposal: id })) }
}
