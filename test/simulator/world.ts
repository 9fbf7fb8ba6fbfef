// The nodes of one run, what is between them, and the first thing that went wrong.
import type { Event, Genesis, Operation, Proposal } from '../../src/core/event.ts'
import { isRejection } from '../../src/core/errors.ts'
import { decodeEvent, type Draft } from '../../src/core/event-codec.ts'
import type { PublicKey } from '../../src/core/ids.ts'
import type { Signer } from '../../src/ports.ts'
import { signDraft } from '../../src/replica/author-queue.ts'
import { Choices } from '../reference/generator.ts'
import { FULL } from './disk.ts'
import { cheapCrypto, cheapSigner } from './keys.ts'
import { Library } from './library.ts'
import { SimulatedNetwork } from './network.ts'
import { SimulatedNode, type Subject } from './node.ts'
import type { Plan } from './plan.ts'
import { Scheduler } from './scheduler.ts'

/** What must not be, and was. */
export interface Failure {
  /** Of one kind: what the run is made smaller by. */
  readonly kind: string
  readonly what: string
}

/** One thing that can happen. `weight`: how often, beside the others. */
export interface ActionOf {
  readonly weight: number
  run(world: World, choices: Choices): void
}

/** Keys of contributors and strangers, beside those of the nodes. */
const OTHERS = ['contributor', 'stranger', 'puppet']
/** A node that went down comes up again after at most so long. */
const DOWN_MS = 20_000
/** Refusals that an honest author may meet with: somebody else was quicker. */
const EXPECTED = ['NOT_OWNER', 'CANCELLED', 'ALREADY_VOTED', 'EXISTS', 'NOT_HERE']

export class World {
  readonly scheduler: Scheduler
  readonly network: SimulatedNetwork
  readonly nodes: SimulatedNode[] = []
  readonly library: Library
  readonly genesis: Genesis
  readonly plan: Plan
  /** How often each thing happened. */
  readonly counts: Record<string, number> = {}
  failure: Failure | undefined
  /** Somebody wants everything compared. */
  wantsQuiet = false
  /** Nothing fails meanwhile. */
  isQuiet = false
  readonly #signers = new Map<PublicKey, Signer>()
  readonly #choices: Choices

  constructor(plan: Plan, subject: Subject) {
    this.plan = plan
    const choices = new Choices(plan.seed ^ 0x5bd1e995)
    this.#choices = choices
    this.scheduler = new Scheduler(choices)
    this.network = new SimulatedNetwork(this.scheduler, choices)
    this.network.onFault = (what) => this.fail('honest-peer-blamed', what)
    const signers = Array.from({ length: plan.nodes }, (_, i) =>
      cheapSigner(plan.isTwin && i === 1 ? 'node 0' : `node ${i}`),
    )
    for (const signer of [...signers, ...OTHERS.map(cheapSigner)]) {
      this.#signers.set(signer.publicKey, signer)
    }
    const keys = [...this.#signers.keys()]
    this.genesis = this.made({
      family: 'genesis',
      founders: keys.slice(0, plan.founders),
      kOwner: plan.kOwner,
      kReview: plan.kReview,
      nonce: cheapCrypto.sha256(Buffer.from(String(plan.seed))).slice(0, 16),
      claimedAtMs: 0,
    }) as Genesis
    this.library = new Library(this.genesis, keys)
    for (const [index, signer] of signers.entries()) {
      this.nodes.push(
        new SimulatedNode({
          index,
          signer,
          subject,
          choices,
          network: this.network,
          genesis: this.genesis,
          poolBytesMax: plan.poolBytesMax,
          fail: (kind, what) => this.fail(kind, what),
          onStored: (events) => events.forEach((event) => this.library.learn(event)),
          onDown: (node) => this.#startLater(node),
        }),
      )
    }
    this.#link()
    this.disturb()
  }

  /** Node i always knows the next one, so that nobody is alone. */
  #link(): void {
    const { nodes } = this
    for (let i = 0; i < nodes.length; i++) {
      for (let j = i + 2; j < nodes.length; j++) {
        if (!this.#choices.chance(this.plan.unlinkedPercent)) continue
        this.network.unlink(`node-${i}`, `node-${j}`)
      }
    }
  }

  /** The network is as bad as the plan says. */
  disturb(): void {
    this.isQuiet = false
    this.network.lossPercent = this.plan.lossPercent
    this.network.doublePercent = this.plan.doublePercent
  }

  /** Everything works from now on, and everybody is up. */
  calm(): void {
    this.isQuiet = true
    this.network.lossPercent = 0
    this.network.doublePercent = 0
    this.heal()
    for (const node of this.nodes) {
      node.disk.fault = undefined
      node.disk.slownessMs = 2
      node.start()
    }
  }

  heal(): void {
    for (const link of this.network.links()) Object.assign(link, HEALTHY)
  }

  /** The first failure counts. */
  fail(kind: string, what: string): void {
    this.failure ??= { kind, what }
  }

  count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by
  }

  /** Nodes that are up and open. */
  upNodes(): SimulatedNode[] {
    return this.nodes.filter(({ replica }) => replica !== undefined)
  }

  /** What an honest owner or contributor does at a node: once it is acknowledged, it is never lost. */
  act(node: SimulatedNode, what: string, made: Promise<Event | undefined>): void {
    made.then(
      (event) => {
        if (event === undefined) return
        node.promise(event.id)
        this.count('acknowledged')
      },
      (error: unknown) => {
        const { code } = error as { code?: string }
        if (code !== undefined && EXPECTED.includes(code)) return
        if (!String(error).includes(FULL)) this.fail('act', `${what}: ${String(error)}`)
      },
    )
  }

  signerOf(key: PublicKey): Signer {
    const signer = this.#signers.get(key)
    if (signer === undefined) throw new Error(`nobody has the key ${key}`)
    return signer
  }

  /** An event signed by whoever; the author of a genesis is its first founder. */
  made(draft: Draft, author?: PublicKey): Event {
    const key = draft.family === 'genesis' ? draft.founders[0] : author
    const block = signDraft(draft, this.signerOf(key as PublicKey), cheapCrypto.sha256)
    const event = decodeEvent(block, cheapCrypto.sha256)
    if (isRejection(event)) throw new Error(`a bad draft: ${event.what}`)
    return event
  }

  proposal(choices: Choices, author: PublicKey, operations?: Operation[]): Proposal {
    return this.made(
      {
        family: 'proposal',
        dataset: this.genesis.id,
        operations: operations ?? this.library.someOperations(choices),
        claimedAtMs: choices.below(2 ** 31),
      },
      author,
    ) as Proposal
  }

  #startLater(node: SimulatedNode): void {
    if (this.isQuiet) this.scheduler.in(1, () => node.start())
    else this.scheduler.in(this.#choices.below(DOWN_MS), () => node.start())
  }
}

const HEALTHY = { isCut: false, minMs: 1, spreadMs: 9 }
