// Owners and reviews in one line of events, where nothing is concurrent, against Gonk's rules as plainly
// as they can be written: ranks in order of joining, one review decides, the last owner stays.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Proposal } from '../../src/core/event.ts'
import { history } from '../makers.ts'
import { create, outcomeOf } from '../reference/outcome.ts'

const NAMES = ['F', 'A', 'B', 'C', 'D']
const ITEMS = 4

const name = fc.constantFrom(...NAMES)
const step = fc.oneof(
  fc.record({ do: fc.constant('add'), by: name, who: name, item: fc.constant(0) }),
  fc.record({ do: fc.constant('remove'), by: name, who: name, item: fc.constant(0) }),
  fc.record({
    do: fc.constantFrom('accept', 'reject'),
    by: name,
    who: name,
    item: fc.nat({ max: ITEMS - 1 }),
  }),
)

/** Gonk's owners, most senior first, and what became of each item. What it refuses does nothing. */
class GonkOwners {
  readonly owners = ['F']
  readonly items: string[] = Array.from({ length: ITEMS }, () => 'pending')

  add(by: string, who: string): void {
    if (this.owners.includes(by) && !this.owners.includes(who)) this.owners.push(who)
  }

  remove(by: string, who: string): void {
    const [signer, target] = [this.owners.indexOf(by), this.owners.indexOf(who)]
    if (signer < 0 || target < 0 || signer > target || this.owners.length === 1) return
    this.owners.splice(target, 1)
  }

  review(by: string, item: number, status: string): void {
    if (this.owners.includes(by) && this.items[item] === 'pending') this.items[item] = status
  }
}

test('T1: in a line of events, owners and reviews come out as in Gonk', () => {
  let removals = 0
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }), (steps) => {
      const h = history(['F'])
      const gonk = new GonkOwners()
      const items = Array.from({ length: ITEMS }, (_, i): Proposal => create(h, `item ${i}`))
      const joined = new Set(['F'])
      const rejecters = items.map(() => new Set<string>())
      for (const { do: what, by, who, item } of steps) {
        // Who never was an owner cannot write an owner event; tools do not add an owner twice.
        if (!joined.has(by) || (what === 'add' && gonk.owners.includes(who))) continue
        if (what === 'add') {
          h.add(by, who)
          joined.add(who)
          gonk.add(by, who)
        } else if (what === 'remove') {
          h.remove(by, who)
          gonk.remove(by, who)
          removals++
        } else if (what === 'accept') {
          // Whoever accepts what it rejected itself takes the rejection back: no rule of Gonk's.
          if (rejecters[item]?.has(by)) continue
          h.accept(by, items[item] as Proposal)
          gonk.review(by, item, 'accepted')
        } else {
          h.reject(by, items[item] as Proposal)
          rejecters[item]?.add(by)
          gonk.review(by, item, 'rejected')
        }
      }
      const outcome = outcomeOf(h)
      expect(outcome.owners).toEqual(gonk.owners)
      expect(items.map((item) => outcome.item(item))).toEqual(gonk.items)
    }),
    { numRuns: 500 },
  )
  expect(removals).toBeGreaterThan(500)
})
