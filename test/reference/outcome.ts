// The state of a hand-made history, asked in the words of the scenario. Every question is asked of
// the reference, and of replicas that got the events in several orders: all must agree.
import { expect } from 'vitest'
import type { OwnerEvent, Proposal } from '../../src/core/event.ts'
import { type ObjectId, objectIdOf } from '../../src/core/ids.ts'
import { file, type History, isOwnerEvent, keyNamed, sha256, versionOf } from '../makers.ts'
import { Choices } from './generator.ts'
import { MemoryReplica } from './memory-replica.ts'
import { referenceState } from './reducer.ts'
import { digestOf, type ObjectText, type StateText } from './state-text.ts'

export interface Outcome {
  readonly state: StateText
  /** Names of the keys of live tenures, most senior first. */
  readonly owners: string[]
  isVoid(event: OwnerEvent): boolean
  /** `pending`, `accepted` or `rejected`. */
  item(proposal: Proposal, index?: number): string
  /** The object created by that operation. */
  object(proposal: Proposal, index?: number): ObjectText
  /** Which of the proposals' first objects owns the file name. */
  ownerOf(name: string, among: Proposal[], space?: string): number
}

const ARRIVALS = 6
const NAMES = ['F', 'A', 'B', 'C', 'D', 'E', 'P', 'M']

export function outcomeOf(history: History): Outcome {
  const state = referenceState(history.genesis, history.events)
  const choices = new Choices(history.events.length)
  for (let i = 0; i < ARRIVALS; i++) {
    const replica = new MemoryReplica(history.genesis)
    const order = i === 0 ? history.events : i === 1 ? history.events.toReversed() : undefined
    for (const event of order ?? choices.shuffled([...history.events, ...history.events])) {
      replica.receive(event)
    }
    const arrived = replica.state()
    if (digestOf(arrived) !== digestOf(state)) expect(arrived).toEqual(state)
  }
  const nameOf = new Map(NAMES.map((name) => [keyNamed(name) as string, name]))
  return {
    state,
    owners: state.owners.map((line) => nameOf.get(line.split(' ')[1] ?? '') ?? line),
    isVoid: (event) => state.void.includes(event.id),
    item: (proposal, index = 0) =>
      (state.items[`${proposal.id}:${index}`] ?? '').split(' ')[0] ?? '',
    object: (proposal, index = 0) => state.objects[objectOf(proposal, index)] as ObjectText,
    ownerOf: (name, among, space = 'file') =>
      among.findIndex((proposal) => objectOf(proposal) === state.names[`${space} ${name}`]),
  }
}

export function objectOf(proposal: Proposal, index = 0): ObjectId {
  return objectIdOf(versionOf(proposal, index), sha256)
}

/** A proposal of new files, one object each. */
export function create(history: History, ...names: string[]): Proposal {
  return history.propose(...names.map((name) => ({ op: 'create' as const, value: file(name) })))
}

export function ownerEvents(history: History): OwnerEvent[] {
  return history.events.filter(isOwnerEvent)
}
