import { expect, test } from 'vitest'
import { decodeGossip } from '../../src/replica/gossip-messages.ts'
import { OwnNews } from '../../src/replica/own-news.ts'
import { aProposal, genesis, owner } from '../hostile/pool-subject.ts'
import { ownerEventBy, reviewOf } from './subject.ts'

test('proposals are told of one by one as far as peers look at them, reviews always', () => {
  let nowMs = 0
  const told: Uint8Array[] = []
  const delays: number[] = []
  const news = new OwnNews({
    clock: { nowMs: () => nowMs },
    publish: (body) => told.push(body),
    announce: (delayMs) => delays.push(delayMs),
  })
  const proposals = Array.from({ length: 300 }, () => aProposal('me'))
  news.tell(proposals)
  expect(told).toHaveLength(100)
  expect(delays).toHaveLength(200)
  expect(new Set(delays)).toEqual(new Set([500]))

  const review = ownerEventBy(owner, genesis.id, reviewOf('accept', ...proposals), [genesis])
  news.tell([review])
  expect(decodeGossip(told.at(-1) as Uint8Array)).toMatchObject({ block: review.block })

  nowMs += 1_000
  news.tell(proposals)
  expect(told).toHaveLength(101 + 20)
})
