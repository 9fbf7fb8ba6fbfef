// T45: the pool of undecided proposals is shared fairly between the peers they come from, and what has
// to go is gone altogether.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Proposal } from '../../src/core/event.ts'
import { sha256 } from '../../src/crypto.ts'
import { POOL_AGE_MAX_MS } from '../../src/replica/pool.ts'
import { createSyncServer } from '../../src/replica/sync-server.ts'
import { runSession } from '../../src/replica/sync-session.ts'
import { ownerEventBy, reviewOf } from '../replica/subject.ts'
import { signerNamed } from '../signing.ts'
import { aProposal, genesis, owner, PoolSubject } from './pool-subject.ts'

const many = (count: number, author: (i: number) => string, files = 1): Proposal[] =>
  Array.from({ length: count }, (_, i) => aProposal(author(i), files))
const countOf = (list: readonly boolean[]) => list.filter(Boolean).length
const ROOM = 20
/** Somewhat more than one small proposal takes. */
const EACH = 1_100

describe('T45: a full pool', () => {
  test('keeps what an honest peer brought, however many keys flood through others', async () => {
    const subject = await PoolSubject.open(ROOM * EACH)
    const honest = many(5, () => 'honest')
    await subject.gave('honest', ...honest)
    const peers = ['flood-1', 'flood-2', 'flood-3']
    for (let i = 0; i < 300; i++) {
      await subject.told(peers[i % 3] as string, aProposal(`sybil ${i}`))
      expect(await subject.poolBytes()).toBeLessThanOrEqual(ROOM * EACH)
    }
    expect(await subject.holds(...honest)).toEqual(honest.map(() => true))
  })

  test('makes room for a peer that has little from the one that has most', async () => {
    const subject = await PoolSubject.open(ROOM * EACH)
    const flood = many(40, (i) => `sybil ${i}`)
    expect(countOf(await subject.gave('flood', ...flood))).toBeGreaterThan(ROOM / 2)
    const honest = many(5, (i) => `honest ${i}`)
    expect(countOf(await subject.gave('honest', ...honest))).toBe(5)
    expect(await subject.poolBytes()).toBeLessThanOrEqual(ROOM * EACH)
  })

  test('lets peers that flood have no more than the same each', async () => {
    const subject = await PoolSubject.open(ROOM * EACH)
    const first = many(40, (i) => `first ${i}`)
    const second = many(40, (i) => `second ${i}`)
    await subject.gave('first', ...first)
    await subject.gave('second', ...second)
    await subject.gave('first', ...first)
    await subject.gave('second', ...second)
    const [a, b] = [await subject.holds(...first), await subject.holds(...second)]
    expect(Math.abs(countOf(a) - countOf(b))).toBeLessThanOrEqual(2)
  })

  test('pushes out the oldest of the author that takes most', async () => {
    const subject = await PoolSubject.open(ROOM * EACH)
    const small = many(3, (i) => `small ${i}`)
    const large = many(40, () => 'large')
    await subject.gave('flood', ...small, ...large)
    const before = await subject.holds(...large)
    await subject.gave('honest', ...many(3, () => 'honest'))
    const after = await subject.holds(...large)
    expect(await subject.holds(...small)).toEqual([true, true, true])
    const gone = large.filter((_, i) => before[i] === true && after[i] === false)
    expect(gone.length).toBeGreaterThan(0)
    expect(gone).toEqual(large.slice(0, gone.length))
  })

  test('takes news of a peer in place of what it brought before, and not without end', async () => {
    const subject = await PoolSubject.open(ROOM * EACH)
    await subject.gave('flood', ...many(40, (i) => `old ${i}`))
    const news = many(1_000, (i) => `new ${i}`)
    let taken = 0
    for (const each of news) taken += countOf(await subject.told('flood', each))
    expect(taken).toBeGreaterThan(50)
    expect(taken).toBeLessThanOrEqual(200 + ROOM)
    subject.nowMs += 1_000
    const later = many(100, (i) => `later ${i}`)
    let more = 0
    for (const each of later) more += countOf(await subject.told('flood', each))
    expect(more).toBeLessThanOrEqual(20 + ROOM)
  })

  test('keeps a share for a peer that the user named, however many others came first', async () => {
    const subject = await PoolSubject.open(400 * EACH)
    for (let i = 0; i < 64; i++) await subject.told(`evil ${i}`, aProposal(`sybil ${i}`))
    const honest = many(5, (i) => `honest ${i}`)
    expect(countOf(await subject.named('friend', ...honest))).toBe(5)
    for (let i = 0; i < 3_000; i++) {
      if (i % 50 === 0) subject.nowMs += 1_000
      await subject.told(`evil ${(64 + i) % 500}`, aProposal(`later sybil ${i}`))
    }
    expect(await subject.poolBytes()).toBeGreaterThan(390 * EACH)
    expect(countOf(await subject.holds(...honest))).toBe(5)
    // Others have used up what all may tell; it does not count for a peer with a name.
    const late = many(5, (i) => `late ${i}`)
    expect(countOf(await subject.named('friend', ...late))).toBe(5)
  })

  test('never lets go of what an owner names or of what was made here', async () => {
    const subject = await PoolSubject.open(ROOM * EACH)
    const named = many(5, () => 'large')
    await subject.gave('flood', ...named)
    const review = ownerEventBy(owner, genesis.id, reviewOf('reject', ...named), [genesis])
    await subject.replica.submit([review.block], { peer: 'flood', isNews: true })
    const own = await subject.replica.propose(signerNamed('me'), aProposal('me').operations)
    const late = many(3, () => 'large')
    await subject.gave('flood', ...late)
    for (let i = 0; i < 60; i++) await subject.told(`peer ${i}`, aProposal(`sybil ${i}`))
    expect(countOf(await subject.holds(...named, own))).toBe(6)
    expect(countOf(await subject.holds(...late))).toBeLessThan(3)
  })

  test('takes back what a batch names itself, also where it is being pushed out', async () => {
    const subject = await PoolSubject.open(ROOM * EACH)
    const flood = many(40, () => 'large')
    await subject.gave('flood', ...flood)
    const held = await subject.holds(...flood)
    const named = flood.filter((_, i) => held[i] === true)
    const review = ownerEventBy(owner, genesis.id, reviewOf('accept', ...named), [genesis])
    const news = many(ROOM, (i) => `news ${i}`)
    await subject.replica.submit(
      [review, ...news].map(({ block }) => block),
      { peer: 'honest', isNews: true },
    )
    expect(countOf(await subject.holds(...named))).toBe(named.length)
    expect(await subject.poolBytes()).toBe(await subject.countedBytes())
  })
})

describe('T45: what was pushed out', () => {
  test('leaves nothing behind but nodes of trees, and those not for long', async () => {
    const subject = await PoolSubject.open(ROOM * EACH)
    const flood = many(40, (i) => `sybil ${i}`, 3)
    await subject.gave('flood', ...flood)
    await subject.replica.eventSets()
    await subject.gave('honest', ...many(8, () => 'honest', 2))
    await subject.replica.eventSets()
    const held = await subject.holds(...flood)
    const gone = flood.filter((_, i) => held[i] === false)
    expect(gone.length).toBeGreaterThan(0)
    const rows = (await subject.rows()).join('\n')
    for (const { id, author } of gone) {
      expect(rows.includes(id)).toBe(false)
      expect(rows.includes(author)).toBe(false)
    }
  })

  test('is not in the set that peers are told, and nodes of that set do not pile up', async () => {
    const subject = await PoolSubject.open(50 * EACH)
    const at: number[] = []
    for (let round = 0; round < 12; round++) {
      for (let i = 0; i < 40; i++) await subject.told(`peer ${i % 4}`, aProposal(`${round} ${i}`))
      const { pool } = await subject.replica.eventSets()
      expect(pool.count).toBe(await subject.log.countPending())
      subject.nowMs += 10 * 60_000
      await subject.told('peer 0', aProposal(`end of ${round}`))
      await subject.replica.eventSets()
      at.push(await subject.countNodes())
    }
    expect(at.at(-1) as number).toBeLessThanOrEqual((at[2] as number) + 20)
    await subject.replica.whileStill(async () => {})
  })

  test('is not asked for again and again', async () => {
    const server = await PoolSubject.open()
    await server.gave('anybody', ...many(200, (i) => `sybil ${i}`))
    const client = await PoolSubject.open(ROOM * EACH)
    const answers = createSyncServer({ source: () => server.source, heard() {} })
    let blocks = 0
    const session = () =>
      runSession({
        peer: 'server',
        dataset: genesis.id,
        source: client.source,
        submit: async (list, peer) => {
          blocks += list.length
          const { stored, refused, missingParents } = await client.replica.submit(list, {
            peer,
            isNews: false,
          })
          return { stored: stored.length, refused, missingParents }
        },
        sha256,
        ask: (body) => answers('client', body, new AbortController().signal),
        hasRoom: () => client.replica.hasRoomFor({ peer: 'server' }),
      })
    expect((await session()).end).toBe('over-quota')
    const asked = blocks
    for (let i = 0; i < 3; i++) expect((await session()).end).toBe('over-quota')
    expect(blocks).toBe(asked)
    expect(client.replica.hasRoomFor({ peer: 'another' })).toBe(true)
  })

  test('comes back when an owner names it', async () => {
    const subject = await PoolSubject.open(ROOM * EACH)
    const flood = many(40, () => 'large')
    await subject.gave('flood', ...flood)
    await subject.gave('honest', aProposal('honest'), aProposal('honest'))
    const held = await subject.holds(...flood)
    const gone = flood[held.indexOf(false)] as Proposal
    const review = ownerEventBy(owner, genesis.id, reviewOf('accept', gone), [genesis])
    await subject.replica.submit([review.block], { peer: 'honest', isNews: true })
    expect(await subject.log.wanted()).toEqual([gone.id])
    expect(await subject.gave('flood', gone)).toEqual([true])
  })
})

describe('T45: the shares of a pool', () => {
  test('are on disk what they are in memory, whatever comes, goes, and is cut off', async () => {
    const step = fc.record({
      peer: fc.integer({ min: 0, max: 4 }),
      author: fc.integer({ min: 0, max: 6 }),
      count: fc.integer({ min: 1, max: 12 }),
      files: fc.integer({ min: 1, max: 4 }),
      isNews: fc.boolean(),
      then: fc.constantFrom('nothing', 'reopen', 'review', 'age'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 20 }), async (steps) => {
        const subject = await PoolSubject.open(ROOM * EACH)
        let parent: Parameters<typeof ownerEventBy>[3][0] = genesis
        for (const { peer, author, count, files, isNews, then } of steps) {
          const batch = many(count, (i) => `author ${author + (i % 2)}`, files)
          const from = { peer: `peer ${peer}`, isNews }
          await subject.replica.submit(
            batch.map(({ block }) => block),
            from,
          )
          if (then === 'reopen') await subject.reopen()
          if (then === 'age') subject.nowMs += POOL_AGE_MAX_MS / 3
          const [first] = batch
          if (then === 'review' && first !== undefined) {
            const review = ownerEventBy(owner, genesis.id, reviewOf('reject', first), [parent])
            await subject.replica.submit([review.block, first.block], from)
            parent = review
          }
          const counted = await subject.countedBytes()
          expect(await subject.poolBytes()).toBe(counted)
          expect(counted).toBeLessThanOrEqual(ROOM * EACH)
          const shares = (await subject.log.meta<{ bytes: number }[]>('poolShares')) ?? []
          expect(shares.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(counted)
          const oldest = await subject.log.pool.oldest(1_000)
          const rows = await subject.log.proposals(oldest.map(({ id }) => id))
          expect(rows.every((row) => row && !row.named && !row.own)).toBe(true)
          expect((await subject.replica.eventSets()).pool.count).toBe(oldest.length)
        }
      }),
      { numRuns: 60, endOnFailure: true },
    )
  })

  test('are those of one peer in a home that kept none', async () => {
    const subject = await PoolSubject.open()
    const proposals = many(30, (i) => `sybil ${i}`)
    await subject.gave('somebody', ...proposals)
    const { log } = subject
    await log.clear(['pool'])
    await log.commit([log.deleteMeta('poolShares')])
    for await (const [id, row] of log.allProposals()) {
      await log.commit([log.putProposal(id, { ...row, poolPeer: 0 })])
    }
    subject.poolBytesMax = ROOM * EACH
    await subject.reopen()
    const honest = many(3, () => 'honest')
    expect(countOf(await subject.gave('honest', ...honest))).toBe(3)
    expect(await subject.poolBytes()).toBeLessThanOrEqual(ROOM * EACH)
    expect(await subject.poolBytes()).toBe(await subject.countedBytes())
  })

  test('end when what they are of is thirty days old', async () => {
    const subject = await PoolSubject.open()
    const old = many(100, (i) => `sybil ${i}`)
    await subject.gave('flood', ...old)
    subject.nowMs += POOL_AGE_MAX_MS - 1_000
    await subject.gave('flood', aProposal('younger'))
    expect(countOf(await subject.holds(...old))).toBe(100)
    subject.nowMs += 2_000
    await subject.reopen()
    for (let i = 0; i < 3; i++) await subject.gave('flood', aProposal(`later ${i}`))
    expect(countOf(await subject.holds(...old))).toBe(0)
    expect(await subject.log.countPending()).toBe(4)
    expect(await subject.poolBytes()).toBe(await subject.countedBytes())
  })
})
