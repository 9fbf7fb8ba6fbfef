// The state of a hand-made history with checkpoints, asked in the words of the scenario: of the reference,
// after whole replicas that got the signed events in several orders have agreed with it.
import { expect } from 'vitest'
import { checkpointIdOf } from '../../src/core/checkpoint-id.ts'
import type { CheckpointBody, Event, OwnerEvent, Proposal } from '../../src/core/event.ts'
import { type CheckpointId, cidBytesOf, versionKey } from '../../src/core/ids.ts'
import type { Version } from '../../src/core/state.ts'
import { type History, sha256, versionOf } from '../makers.ts'
import { finalState } from '../reference/finality.ts'
import { Choices } from '../reference/generator.ts'
import { objectOf } from '../reference/outcome.ts'
import { signAll } from './signed-history.ts'
import { Subject } from './subject.ts'

export interface Named {
  readonly id: CheckpointId
  readonly body: CheckpointBody
}

/** A checkpoint of these events and all before them, that nobody has voted for yet. */
export function checkpoint(
  { genesis }: History,
  heads: readonly OwnerEvent[],
  previous?: Named,
  without: readonly Proposal[] = [],
): Named {
  const body: CheckpointBody = {
    height: 1 + (previous?.body.height ?? 0),
    ...(previous && { previous: previous.id }),
    heads: heads.map(({ id }) => id).sort(),
    without: without.map(({ id }) => id).sort(),
    root: cidBytesOf(genesis.id),
  }
  return { id: checkpointIdOf(genesis.id, body, sha256), body }
}

export interface SettledOutcome {
  readonly chain: readonly CheckpointId[]
  /** How many places had several final ones. */
  readonly forks: number
  isVoid(event: OwnerEvent): boolean
  item(proposal: Proposal): string
  /** Its heads, canonical first, of the object that `created` creates. */
  heads(created: Proposal): readonly string[]
  /** Which of the proposals' first objects owns the file name. */
  ownerOf(name: string, among: readonly Proposal[]): number
  ownersCount: number
}

export async function settledOutcomeOf(
  history: History,
  { withheld = [], anchor }: { withheld?: readonly Proposal[]; anchor?: CheckpointId } = {},
): Promise<SettledOutcome> {
  const { genesis } = history
  const held = history.events.filter((event) => !withheld.includes(event as Proposal))
  const signed = signAll({ genesis, events: held }, held.length)
  await expectAgreement([signed.genesis, ...signed.events], signed)
  const { chain, forks, state } = finalState(genesis, held, anchor)
  return {
    chain,
    forks: forks.length,
    isVoid: (event) => state.void.includes(event.id),
    item: ({ id }) => (state.items[`${id}:0`] ?? '').split(' ')[0] ?? '',
    heads: (created) => state.objects[objectOf(created)]?.heads ?? [],
    ownerOf: (name, among) =>
      among.findIndex((proposal) => objectOf(proposal) === state.names[`file ${name}`]),
    ownersCount: state.owners.length,
  }
}

/** Whole replicas, without an anchor, in the order made, reversed, and shuffled. */
async function expectAgreement(
  events: readonly Event[],
  { genesis, events: made }: ReturnType<typeof signAll>,
): Promise<void> {
  const { chain, state } = finalState(genesis, made)
  const choices = new Choices(events.length)
  for (const order of [events, events.toReversed(), choices.shuffled(events)]) {
    const subject = await new Subject(genesis.id).reopen()
    let left = [...order]
    while (left.length > 0) {
      const next: Event[] = []
      for (const event of left) {
        const { refused } = await subject.submit(event)
        if (refused.length > 0) next.push(event)
        // What is published must follow when that is settled otherwise.
        if (subject.replica.hasGenesis) await subject.replica.snapshot()
      }
      expect(next.length).toBeLessThan(left.length)
      left = next
    }
    const known = await subject.replica.checkpoints()
    const final = known.filter(({ status }) => status === 'final').map(({ id }) => id)
    expect(final).toEqual(chain)
    expect([...(await subject.log.voids())].sort()).toEqual(state.void)
    await subject.replica.snapshot()
    for await (const [id] of subject.log.objectTable.all()) {
      const [row] = await subject.log.objectRows([id])
      const heads = row?.heads.map((i) => versionKey((row.versions[i] as Version).id))
      expect(heads).toEqual(state.objects[id]?.heads)
    }
    const names: Record<string, string> = {}
    for await (const [name, { object }] of subject.log.names.allOwned('file')) {
      names[`file ${name}`] = object
    }
    expect(names).toEqual(state.names)
  }
}

export const headKey = (proposal: Proposal): string => versionKey(versionOf(proposal))
