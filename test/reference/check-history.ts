// One random history against the reference, delivered in several ways.
import { expect } from 'vitest'
import type { Event, Genesis } from '../../src/core/event.ts'
import { Choices, type HistoryOptions, randomHistory } from './generator.ts'
import { MemoryReplica } from './memory-replica.ts'
import { referenceState } from './reducer.ts'
import { digestOf } from './state-text.ts'

/** Throws when an arrival gives another state than the reference. @returns the number of events. */
export function checkHistory(
  seed: number,
  ownerEvents: number,
  arrivals: number,
  options: HistoryOptions = {},
): number {
  const { genesis, events } = randomHistory(seed, ownerEvents, options)
  const expected = referenceState(genesis, events)
  const choices = new Choices(seed ^ 0x5bd1e995)
  for (let i = 0; i < arrivals; i++) {
    const replica = deliver(genesis, events, choices, i)
    const state = replica.state()
    if (digestOf(state) !== digestOf(expected)) expect(state).toEqual(expected)
    const { voidEvents, requirements } = replica.fullAuthority()
    expect(state.void).toEqual([...voidEvents].sort())
    expect(state.requirements).toEqual(Object.fromEntries(requirements))
  }
  return events.length
}

function deliver(
  genesis: Genesis,
  events: readonly Event[],
  choices: Choices,
  way: number,
): MemoryReplica {
  const replica = new MemoryReplica(genesis)
  const receive = (list: readonly Event[]) => list.forEach((event) => replica.receive(event))
  switch (way) {
    case 0:
      receive(events)
      break
    case 1:
      receive(events.toReversed())
      break
    case 2: {
      // All but one, the state, and then that one.
      const late = choices.of(events)
      receive(choices.shuffled(events.filter((event) => event !== late)))
      replica.state()
      receive([late])
      break
    }
    case 3: {
      // Two halves of a partition that heals; much of it is told twice.
      const left = choices.shuffled(events.filter(() => choices.chance(60)))
      const other = new MemoryReplica(genesis)
      choices.shuffled(events).forEach((event) => other.receive(event))
      receive(left)
      receive(choices.shuffled([...other.events, ...left]))
      break
    }
    default:
      receive(choices.shuffled([...events, ...events.filter(() => choices.chance(30))]))
  }
  return replica
}
