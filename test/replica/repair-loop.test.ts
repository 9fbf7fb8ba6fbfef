// Events that are set aside come back when what they lack comes, and cost nothing until then.
import { expect, onTestFinished, test } from 'vitest'
import type { Event } from '../../src/core/event.ts'
import type { EventId } from '../../src/core/ids.ts'
import { nodeCrypto } from '../../src/crypto.ts'
import { RepairLoop } from '../../src/replica/repair-loop.ts'
import type { Replica } from '../../src/replica/replica.ts'
import { silentLogger } from '../api/make-node.ts'
import { aProposal, genesis, owner, PoolSubject } from '../hostile/pool-subject.ts'
import { ownerEventBy, reviewOf } from './subject.ts'

const review = (name: string, parent: Event) =>
  ownerEventBy(owner, genesis.id, reviewOf('reject', aProposal(name)), [parent] as never)

const isStored = (replica: Replica, id: EventId) =>
  new Promise<void>((resolve) => {
    replica.onStored((events) => {
      if (events.some((event) => event.id === id)) resolve()
    })
  })

test('orphans are tried once, then when a parent comes, and not with everything that does', async () => {
  const { replica, log } = await PoolSubject.open()
  const lost = review('a', genesis)
  const child = review('b', lost)
  const grandchild = review('c', child)
  for (const { id, block } of [child, grandchild]) await log.commit(log.quarantine.set(id, block))
  const submitted: number[] = []
  const looked = Promise.withResolvers<void>()
  const watched = new Proxy(replica, {
    get(target, name) {
      if (name === 'submit') {
        return async (blocks: readonly Uint8Array[]) => {
          submitted.push(blocks.length)
          const result = await target.submit(blocks)
          looked.resolve()
          return result
        }
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  const network = { peersOf: () => [], request: async () => new Uint8Array() }
  const parts = { replica: watched, network, crypto: nodeCrypto(), logger: silentLogger }
  const loop = new RepairLoop(parts)
  onTestFinished(() => loop.stop())
  await looked.promise
  const once = isStored(replica, grandchild.id)
  for (let i = 0; i < 20; i++) await replica.submit([aProposal(`other ${i}`).block])
  for (let i = 0; i < 20; i++) loop.poke()
  await replica.submit([lost.block])
  await once
  await loop.stop()
  expect(await log.hasMany([child.id, grandchild.id])).toEqual([true, true])
  // Of the first look, and of the one after the parent came.
  expect(submitted.length).toBeLessThanOrEqual(4)
})
