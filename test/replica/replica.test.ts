// What a replica must stand: full disks, crashes, lost nodes, and owners who mean harm.
import * as dagCbor from '@ipld/dag-cbor'
import { describe, expect, test } from 'vitest'
import { isRejection, rejections } from '../../src/core/errors.ts'
import { decodeEvent, type Draft } from '../../src/core/event-codec.ts'
import type { Event, OwnerEvent } from '../../src/core/event.ts'
import {
  hexOf,
  type ObjectId,
  objectIdOf,
  type TenureId,
  textOfEventId,
} from '../../src/core/ids.ts'
import { decodeSnapshot } from '../../src/core/snapshot.ts'
import { entriesOf } from '../../src/core/trie.ts'
import { homeKey } from '../../src/log/keys.ts'
import { syncSourceOf } from '../../src/replica/sync-source.ts'
import { file, sha256 } from '../makers.ts'
import { blockOf } from '../signing.ts'
import type { Fault } from './faulty-database.ts'
import { laterBlock } from './signed-history.ts'
import { A, B, createOf, F, genesisBy, ownerEventBy, proposalBy, reviewOf } from './subject.ts'
import { stranger, Subject } from './subject.ts'
import { dumpOf } from './table-dump.ts'

const genesis = genesisBy(F, A)
const id = genesis.id

async function opened(...events: readonly Event[]): Promise<Subject> {
  const subject = await new Subject(id).reopen()
  await subject.submit(genesis, ...events)
  return subject
}

const rootOf = async (subject: Subject) => (await subject.replica.snapshot()).root.toString()

/** The root that a replica has which got the same events and met no trouble. */
async function rootOfAll(subject: Subject): Promise<string> {
  const fresh = await new Subject(id).reopen()
  const blocks: Uint8Array[] = []
  for await (const [, event] of subject.log.arrivals()) {
    blocks.push((await subject.log.block(event)) as Uint8Array)
  }
  await fresh.replica.submit(blocks)
  return rootOf(fresh)
}

/** Accepts operations one after the other, each on its own, without ever looking at the root. */
async function acceptEach(subject: Subject, ...batches: Parameters<typeof proposalBy>[2][][]) {
  for (const operations of batches) {
    const proposal = await subject.replica.propose(stranger, operations)
    await subject.replica.act(F, reviewOf('accept', proposal))
  }
}

const objectOf = (event: Event): ObjectId => objectIdOf({ proposal: event.id, index: 0 }, sha256)

describe('a write that fails', () => {
  test('changes nothing in memory: owners and root are those on disk', async () => {
    const subject = await opened()
    const before = await rootOf(subject)
    subject.disk.failIn(1, 'refused')
    const added = subject.replica.act(F, { kind: 'add', key: B.publicKey })
    await expect(added).rejects.toThrow('no space left')
    expect(subject.replica.tenureOf(B.publicKey)).toBeUndefined()
    expect(await rootOf(subject)).toBe(before)
    await expect(subject.replica.act(B, reviewOf('accept'))).rejects.toMatchObject({
      code: 'NOT_OWNER',
    })
  })

  test.each<Fault>(['refused', 'unsure'])(
    'in the middle of publishing loses nothing (%s)',
    async (fault) => {
      const proposal = proposalBy(stranger, id, createOf(file('a')))
      for (const write of [1, 2, 3, 5, 7]) {
        const subject = await opened(proposal)
        for (let i = 0; i < 20; i++) await acceptEach(subject, [createOf(file(`b${i}`))])
        await subject.replica.act(F, reviewOf('accept', proposal))
        subject.disk.failIn(write, fault)
        await subject.replica.snapshot().catch(() => {})
        subject.disk.heal()
        expect(await rootOf(subject)).toBe(await rootOfAll(subject))
      }
    },
  )

  test('what was stored before a crash is taken into the state when the dataset is opened', async () => {
    const proposal = proposalBy(stranger, id, createOf(file('a')))
    const subject = await opened(proposal)
    const review = ownerEventBy(F, id, reviewOf('accept', proposal), [genesis])
    subject.disk.failIn(2, 'lost')
    await expect(subject.submit(review)).rejects.toThrow('ended')
    await subject.reopen()
    expect(await subject.log.dirty(1)).toEqual([])
    expect((await subject.log.names.claimsOn('file', 'a')).length).toBe(1)
  })

  test('after it is closed, nothing is written any more', async () => {
    const subject = await opened()
    await subject.replica.close()
    const { writes } = subject.disk
    await expect(
      subject.submit(proposalBy(stranger, id, createOf(file('a')))),
    ).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(subject.disk.writes).toBe(writes)
  })

  test('without a genesis there is no snapshot, and the error says so', async () => {
    const subject = await new Subject(id).reopen()
    await expect(subject.replica.snapshot()).rejects.toMatchObject({ code: 'NOT_HERE' })
  })
})

describe('a node of a tree that is lost', () => {
  async function filled(): Promise<Subject> {
    const subject = await opened()
    const names = Array.from({ length: 60 }, (_, i) => createOf(file(`d${i % 3}/f${i}`)))
    await acceptEach(subject, names, [createOf(file('x'))])
    await subject.submit(...names.map((name) => proposalBy(stranger, id, name)))
    await subject.replica.snapshot()
    return subject
  }

  const roots = ['stateRoot', 'eventsRoot', 'files'] as const

  test.each(roots)('%s: the trees are made again from the rows', async (name) => {
    const subject = await filled()
    const expected = await dumpOf(subject.disk.disk, subject.log)
    const snapshot = await subject.replica.snapshot()
    await subject.nodes.delete(snapshot[name])
    await subject.reopen()
    await acceptEach(subject, [createOf(file('y'))])
    expect(await rootOf(subject)).toBe(await rootOfAll(subject))
    expect(subject.warnings).toEqual(['the trees are built again from the rows'])
    expect(await subject.nodes.get(snapshot[name])).toBeUndefined()
    expect(expected['names']).not.toEqual([])
  })

  test('a damaged one too, and what one process began the next one ends', async () => {
    for (const write of [1, 2, 4, 6, 8, 11]) {
      const subject = await filled()
      const { stateRoot, root } = await subject.replica.snapshot()
      const expected = await dumpOf(subject.disk.disk, subject.log)
      const bytes = (await subject.nodes.get(stateRoot)) as Uint8Array
      await subject.disk.disk.put(
        homeKey('nodes', stateRoot.bytes),
        bytes.map((byte) => byte ^ 1),
      )
      await subject.reopen()
      await subject.replica.act(
        F,
        reviewOf('accept', proposalBy(stranger, id, createOf(file('n')))),
      )
      subject.disk.failIn(write, 'last')
      await subject.replica.snapshot().catch(() => {})
      await subject.reopen()
      await acceptEach(subject, [createOf(file('y'))])
      expect(await rootOf(subject)).toBe(await rootOfAll(subject))
      expect(root.toString()).not.toBe(await rootOf(subject))
      expect(Object.keys(await dumpOf(subject.disk.disk, subject.log))).toEqual(
        Object.keys(expected),
      )
    }
  })

  test('a peer that asks for it gets it', async () => {
    const subject = await filled()
    const { owner } = await subject.replica.eventSets()
    await subject.nodes.delete(owner.root as NonNullable<typeof owner.root>)
    const source = syncSourceOf(subject.replica, subject.nodes, sha256)
    const sets = await source.sets()
    expect((await sets.owner.subtree('')).count).toBe(owner.count)
    expect((await sets.pool.subtree('')).count).toBe(60)
    let count = 0
    const { root } = sets.owner
    expect(hexOf(root)).toBe(hexOf((owner.root as NonNullable<typeof owner.root>).multihash.digest))
    for await (const _ of entriesOf(owner.root as NonNullable<typeof owner.root>, subject.nodes)) {
      count++
    }
    expect(count).toBe(owner.count)
  })
})

test('a damaged proposal is named, and not left out of the state in silence', async () => {
  const proposal = proposalBy(stranger, id, createOf(file('a')))
  const subject = await opened(proposal)
  const key = homeKey('events', Buffer.from(proposal.id, 'hex'))
  await subject.disk.disk.put(key, proposal.block.with(-1, (proposal.block.at(-1) as number) ^ 1))
  await subject.reopen()
  const review = ownerEventBy(F, id, reviewOf('accept', proposal), [genesis])
  const damaged = {
    code: 'HOME_DAMAGED',
    message: expect.stringContaining(textOfEventId(proposal.id)),
  }
  await expect(subject.submit(review)).rejects.toMatchObject(damaged)
  await expect(subject.replica.snapshot()).rejects.toMatchObject(damaged)
  await subject.disk.disk.put(key, proposal.block)
  expect(await rootOf(subject)).toBe(await rootOfAll(subject))
})

describe('names and sizes', () => {
  const update = (of: Event, name: string) => ({
    op: 'update' as const,
    object: objectOf(of),
    base: [{ proposal: of.id, index: 0 }],
    value: file(name),
  })

  const DAG_PB = 0x70
  const large = (name: string) => ({ ...file(name), content: file(name).content.with(1, DAG_PB) })

  test.each([
    ['a directory in place of a file', 'a', 'a/b'],
    ['a file in place of a directory', 'a/b', 'a'],
  ])('%s, when the change is far behind in the journal', async (_, first, second) => {
    const subject = await opened()
    const owner = await subject.replica.propose(stranger, [createOf(large(first))])
    await subject.replica.act(F, reviewOf('accept', owner))
    await subject.replica.snapshot()
    await acceptEach(subject, [createOf(large(second))])
    for (let i = 0; i < 40; i++) await acceptEach(subject, [createOf(file(`f${i}`))])
    await acceptEach(subject, [update(owner, 'elsewhere')])
    expect(await rootOf(subject)).toBe(await rootOfAll(subject))
    const { counts } = await subject.replica.snapshot()
    expect(counts.files).toBe(42)
    expect(subject.warnings).toEqual([])
  })

  test('sizes that add up to more than an integer can be give one root in every order', async () => {
    const greatest = Number.MAX_SAFE_INTEGER
    const sized = (name: string, sizeBytes: number) => createOf({ ...file(name), sizeBytes })
    const operations = [
      [sized('a', greatest)],
      [sized('b', 1)],
      [sized('c', greatest)],
      [sized('d', 3)],
      [sized('e', greatest)],
    ]
    const subject = await opened()
    for (const operation of operations) {
      await acceptEach(subject, operation)
      await subject.replica.snapshot()
    }
    expect(await rootOf(subject)).toBe(await rootOfAll(subject))
    const { root, counts } = await subject.replica.snapshot()
    expect(counts.bytes).toBe(greatest)
    expect(isRejection(decodeSnapshot((await subject.nodes.get(root)) as Uint8Array))).toBe(false)
  })

  test.each(['\ufeffa', 'a/\ufeffb', 'a\ufeff'])('a byte order mark is in no name: %j', (name) => {
    const draft: Draft = {
      family: 'proposal',
      dataset: id,
      operations: [createOf({ ...file('a'), name })],
      claimedAtMs: 0,
    }
    const event = decodeEvent(blockOf(draft, stranger), sha256)
    expect(isRejection(event) && rejections[event.refused].provable).toBe(true)
  })

  test.each(['__proto__', 'constructor', 'hasOwnProperty/toString'])(
    '%s is a name as any',
    async (name) => {
      const subject = await opened()
      const labels: Record<string, string> = JSON.parse(`{"${name}":"x","__proto__":"y"}`)
      const proposal = await subject.replica.propose(stranger, [createOf(file(name))], { labels })
      await subject.replica.act(F, reviewOf('accept', proposal))
      expect(await rootOf(subject)).toBe(await rootOfAll(subject))
      expect((await subject.log.names.owned([{ space: 'file', name }]))[0]).toBeDefined()
      expect(Object.keys((await subject.replica.proposal(proposal.id))?.labels ?? {})).toContain(
        '__proto__',
      )
    },
  )
})

describe('content that is lacking', () => {
  test('is what accepted versions name, also after an acceptance has become void', async () => {
    const mine = proposalBy(stranger, id, createOf(file('a', 'one')), createOf(file('b', 'both')))
    const other = proposalBy(stranger, id, createOf(file('c', 'both')))
    const byA = ownerEventBy(A, id, reviewOf('accept', mine), [genesis], 1)
    const byF = ownerEventBy(F, id, reviewOf('accept', other), [genesis])
    const subject = await opened(mine, other, byA, byF)
    expect(await subject.log.contents.countLacking()).toBe(2)
    await subject.submit(ownerEventBy(F, id, { kind: 'remove', key: A.publicKey }, [byF]))
    const lacking: string[] = []
    for await (const { content } of subject.log.contents.lacking()) lacking.push(hexOf(content))
    expect(lacking).toEqual([hexOf(file('c', 'both').content)])
  })
})

describe('a full pool', () => {
  test('keeps out no proposal that an owner names, whenever that comes', async () => {
    const subject = new Subject(id)
    subject.poolBytesMax = 10
    await subject.reopen()
    await subject.submit(genesis)
    const together = proposalBy(stranger, id, createOf(file('a')))
    const review = ownerEventBy(F, id, reviewOf('accept', together), [genesis])
    const { refused } = await subject.submit(together, review)
    expect(refused).toEqual([])
    const spam = await subject.submit(proposalBy(stranger, id, createOf(file('b'))))
    expect(spam.refused).toMatchObject([{ refused: 'over-quota' }])
  })

  test('has room for what is made here, and counts only what came from others', async () => {
    const subject = new Subject(id)
    subject.poolBytesMax = 1_500
    await subject.reopen()
    await subject.submit(genesis)
    for (let i = 0; i < 5; i++) await subject.replica.propose(stranger, [createOf(file(`own${i}`))])
    await subject.reopen()
    const theirs = proposalBy(stranger, id, createOf(file('theirs')))
    expect((await subject.submit(theirs)).refused).toEqual([])
    await subject.reopen()
    const more = Array.from({ length: 5 }, (_, i) =>
      proposalBy(stranger, id, createOf(file(`t${i}`))),
    )
    const { refused, stored } = await subject.submit(...more)
    expect(refused.length).toBeGreaterThan(0)
    await subject.replica.act(F, reviewOf('reject', theirs, ...(stored as typeof more)))
    await subject.reopen()
    expect((await subject.submit(more.at(-1) as Event)).refused).toEqual([])
  })
})

describe('the room that proposals of others take', () => {
  const deletions = (count: number) => {
    const base = [{ proposal: genesis.id, index: 0 }]
    const object = objectIdOf({ proposal: genesis.id, index: 0 }, sha256)
    return Array.from({ length: count }, () => ({ op: 'delete' as const, object, base }))
  }
  const refusalsOf = async (subject: Subject, name: string) =>
    (await subject.submit(proposalBy(stranger, id, createOf(file(name))))).refused.length

  test('is that of all that is said of them, and free again when they are decided', async () => {
    const many = proposalBy(stranger, id, ...deletions(1_000))
    const subject = new Subject(id)
    // Room for its block, and for nothing else.
    subject.poolBytesMax = many.block.length + 1_000
    await subject.reopen()
    await subject.submit(genesis)
    expect((await subject.submit(many)).refused).toMatchObject([{ refused: 'over-quota' }])
    subject.poolBytesMax = 4 * many.block.length
    await subject.reopen()
    expect((await subject.submit(many)).refused).toEqual([])
    const taken = (await subject.log.meta<number>('poolBytes')) as number
    expect(taken).toBeGreaterThan(many.block.length + 1_000 * 64)
    subject.poolBytesMax = taken
    await subject.reopen()
    expect(await refusalsOf(subject, 'before')).toBe(1)
    await subject.submit(ownerEventBy(F, id, reviewOf('reject', many), [genesis]))
    expect(await subject.log.meta<number>('poolBytes')).toBe(0)
    await subject.reopen()
    expect(await refusalsOf(subject, 'after')).toBe(0)
  })
})

describe('owners who mean harm', () => {
  test('many deep heads beside its add do not keep an owner from writing', async () => {
    const add = ownerEventBy(F, id, { kind: 'add', key: B.publicKey }, [genesis])
    const subject = await opened(add)
    const heads: OwnerEvent[] = []
    for (let i = 0; i < 70; i++) {
      const body = { kind: 'release' as const, tag: `t${i}`, root: dagCborRoot }
      const first = ownerEventBy(A, id, body, [genesis], 1)
      heads.push(first, ownerEventBy(A, id, { ...body, tag: `u${i}` }, [first], 1))
    }
    await subject.submit(...heads)
    const body = { kind: 'release' as const, tag: 'v1', root: dagCborRoot }
    const event = (await subject.replica.act(B, body)) as OwnerEvent
    expect(event.parents.length).toBe(64)
  })

  test('a review of many that were rejected long ago reads its past once', async () => {
    const proposals = Array.from({ length: 300 }, (_, i) =>
      proposalBy(stranger, id, createOf(file(`p${i}`))),
    )
    const chain: OwnerEvent[] = [ownerEventBy(F, id, reviewOf('reject', ...proposals), [genesis])]
    for (let i = 0; i < 300; i++) {
      const body = { kind: 'release' as const, tag: `t${i}`, root: dagCborRoot }
      chain.push(ownerEventBy(F, id, body, [chain.at(-1) as Event]))
    }
    const subject = await opened(...proposals, ...chain)
    const before = subject.disk.reads
    await subject.submit(
      ownerEventBy(F, id, reviewOf('accept', ...proposals), [chain.at(-1) as Event]),
    )
    expect(subject.disk.reads - before).toBeLessThan(3_000)
    expect(
      (await subject.log.proposals(proposals.map((proposal) => proposal.id)))[299],
    ).toMatchObject({
      decisions: [{ status: 'pending' }],
    })
  })

  test('T31: a wrong tenure is refused with proof, one of a later version without', async () => {
    const later = laterBlock(id, F, {
      kind: 'add',
      version: 2,
      body: { key: B.publicKey },
      tenure: 'f0' as TenureId,
      depth: 1,
      parents: [id],
    })
    const add = ownerEventBy(F, id, { kind: 'add', key: B.publicKey }, [genesis])
    const subject = await opened(add)
    const { stored } = await subject.replica.submit([later])
    const unknown = stored[0] as OwnerEvent
    expect(unknown.body.kind).toBe('unknown')
    const tag = { kind: 'release' as const, tag: 'v1', root: dagCborRoot }
    const reasonOf = async (event: Event) => (await subject.submit(event)).refused[0]?.refused
    expect(await reasonOf(ownerEventBy(B, id, tag, [unknown], unknown))).toBe('unknown-tenure')
    expect(rejections['unknown-tenure'].provable).toBe(false)
    expect(await reasonOf(ownerEventBy(A, id, tag, [add], add))).toBe('wrong-tenure')
    expect(await reasonOf(ownerEventBy(B, id, tag, [genesis], add))).toBe('wrong-tenure')
    expect(await reasonOf(ownerEventBy(A, id, tag, [genesis], 0))).toBe('wrong-tenure')
    expect(await reasonOf(ownerEventBy(A, id, tag, [genesis], 7))).toBe('wrong-tenure')
    expect(await rootOf(subject)).toBe(await rootOfAll(subject))
  })
})

const dagCborRoot = Uint8Array.from([1, 0x71, 0x12, 0x20, ...sha256(dagCbor.encode(1))])
