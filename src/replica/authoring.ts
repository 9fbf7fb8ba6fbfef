// What is signed on this node for one dataset: proposals by anybody, and what owners do.
import { GonkError } from '../core/errors.ts'
import type { Draft } from '../core/event-codec.ts'
import type { CheckpointBody, Event, Labels, Proposal } from '../core/event.ts'
import type { EventId, PublicKey } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import type { Tenure } from '../core/state.ts'
import type { Clock, Signer } from '../ports.ts'
import { type ActingBody, type AuthorNeeds, AuthorQueue, type Frontier } from './author-queue.ts'
import type { Authority } from './authority.ts'

export interface AuthoringNeeds extends Omit<AuthorNeeds, 'exclusive' | 'frontier'> {
  readonly clock: Pick<Clock, 'nowMs'>
  readonly authority: () => Authority
  /** Runs a task behind the replica's lock. */
  readonly exclusive: <T>(task: () => Promise<T>) => Promise<T>
  /** Throws ALREADY_VOTED. */
  readonly checkVote: (key: PublicKey, checkpoint: CheckpointBody) => Promise<void>
}

export class Authoring {
  readonly #needs: AuthoringNeeds
  readonly #queue: AuthorQueue

  constructor(needs: AuthoringNeeds) {
    this.#needs = needs
    this.#queue = new AuthorQueue({ ...needs, frontier: (tenure) => this.#frontier(tenure) })
  }

  /** Signs and stores a proposal. Throws BAD_EVENT when it breaks a limit. */
  async propose(
    signer: Signer,
    operations: Proposal['operations'],
    more: { name?: string; labels?: Record<string, string> } = {},
  ): Promise<Proposal> {
    const { dataset, clock } = this.#needs
    const draft = async (): Promise<Draft> => ({
      family: 'proposal',
      dataset,
      operations,
      claimedAtMs: clock.nowMs(),
      ...more,
    })
    return (await this.#queue.author({ signer, draft })) as Proposal
  }

  /**
   * Signs and stores an owner event that cites all heads known. Throws NOT_OWNER, and ALREADY_VOTED for
   * a second checkpoint after the same one.
   * @param check runs behind the lock, just before signing, when all that came before is stored.
   */
  async act(
    signer: Signer,
    body: ActingBody,
    check?: (tenure: Tenure) => Promise<void>,
    labels?: Labels,
  ): Promise<Event> {
    return this.#queue.author({
      signer,
      // Reviews say nothing of who may sign; whatever else comes beside them might.
      alone: check !== undefined || body.kind !== 'review',
      draft: async (frontier) => {
        const tenure = this.#actingTenure(signer)
        await check?.(tenure)
        const { checkVote } = this.#needs
        if (body.kind === 'cp') await checkVote(signer.publicKey, body.checkpoint)
        const draft = this.#ownerDraft(tenure, body, await frontier(tenure))
        return labels === undefined ? draft : { ...draft, labels }
      },
    })
  }

  /** What an owner event signed now would cite. Throws NOT_OWNER. */
  async frontier(signer: Signer): Promise<readonly EventId[]> {
    const frontier = () => this.#frontier(this.#actingTenure(signer))
    return this.#needs.exclusive(async () => (await frontier()).parents)
  }

  /** As {@link act}, unless other events came since `parents` was the frontier. */
  async actOn(
    signer: Signer,
    body: ActingBody,
    parents: readonly EventId[],
  ): Promise<Event | undefined> {
    let isCurrent = true
    const draft = async () => {
      const tenure = this.#actingTenure(signer)
      const frontier = await this.#frontier(tenure)
      isCurrent = frontier.parents.join() === parents.join()
      if (!isCurrent) throw new GonkError('STALE_BASE', 'other events came first')
      return this.#ownerDraft(tenure, body, frontier)
    }
    return this.#queue.author({ signer, alone: true, draft }).catch((error: unknown) => {
      if (isCurrent) throw error
      return undefined
    })
  }

  #frontier(tenure: Tenure): Promise<Frontier> {
    return this.#needs.authority().frontier(limits.parentsMax, tenure.id)
  }

  #actingTenure({ publicKey }: Signer): Tenure {
    const tenure = this.#needs.authority().tenureOf(publicKey)
    if (tenure) return tenure
    throw new GonkError('NOT_OWNER', `key ${publicKey} is not an owner`)
  }

  #ownerDraft(tenure: Tenure, body: ActingBody, frontier: Frontier): Draft {
    const { dataset, clock } = this.#needs
    return {
      family: 'owner',
      dataset,
      tenure: tenure.id,
      ...frontier,
      body,
      claimedAtMs: clock.nowMs(),
    }
  }
}
