import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type LogFilter, readLog, show } from '../../src/api/history/history.ts'
import { listOwners } from '../../src/api/datasets/owners-list.ts'
import type { Operation, Proposal } from '../../src/core/event.ts'
import {
  type EventId,
  hexOf,
  objectIdOf,
  textOfEventId,
  type VersionId,
} from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import type { Signer } from '../../src/ports.ts'
import type { LogEntry } from '../../src/contract/api.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const ada = signerNamed('ada')
const bob = signerNamed('bob')
const cleo = signerNamed('cleo')
const me = { name: 'this node', role: 'admin' as const, publicKey: signerNamed('node').publicKey }
let node: TestNode
let dataset: TestDataset

beforeEach(async () => {
  node = await makeNode()
  dataset = await node.createDataset('letters', [ada, bob])
})
afterEach(() => node.close())

const textToId = (text: string) => hexOf(sha256(new TextEncoder().encode(text))) as EventId

async function logOf(filter?: LogFilter): Promise<LogEntry[]> {
  const entries: LogEntry[] = []
  for await (const entry of readLog(dataset.replica, filter)) entries.push(entry)
  return entries
}

const linesOf = async (filter?: LogFilter) => (await logOf(filter)).map(({ summary }) => summary)

describe('the log', () => {
  it('is newest first, with one line about each kind of event', async () => {
    const proposal = await dataset.create(cleo, await dataset.file('a.txt'))
    await dataset.replica.act(bob, {
      kind: 'review',
      verdict: 'reject',
      items: [{ proposal: proposal.id }],
      reason: 'too\nlong',
    })
    await dataset.replica.act(ada, { kind: 'add', key: cleo.publicKey, name: 'Cleo' })
    await dataset.release(ada, 'v1')
    await dataset.replica.act(ada, { kind: 'remove', key: bob.publicKey })
    await dataset.replica.act(cleo, { kind: 'remove', key: cleo.publicKey })
    expect(await linesOf()).toEqual([
      'leave',
      `remove owner ${bob.publicKey}`,
      'release v1',
      `add owner ${cleo.publicKey} Cleo`,
      `reject ${textOfEventId(proposal.id)}: too long`,
      'create a.txt',
      'create dataset letters',
    ])
    expect((await logOf({ limit: 2 })).map(({ kind }) => kind)).toEqual(['remove', 'remove'])
    expect(await linesOf({ author: bob.publicKey })).toEqual([
      `reject ${textOfEventId(proposal.id)}: too long`,
    ])
    expect(await linesOf({ limit: 0 })).toEqual([])
    await expect(linesOf({ author: 'x' })).rejects.toMatchObject({ code: 'USAGE' })
  })

  it('names the object that an annotation or a deletion is about', async () => {
    const files = [await dataset.file('a.jpg'), await dataset.file('b.jpg')]
    const created = await dataset.add(ada, ...files)
    const version = (proposal: Proposal, index = 0) => ({ proposal: proposal.id, index })
    const waiting = await dataset.create(bob, await dataset.file('c.jpg'))
    const annotation = (...targets: VersionId[]): Operation => {
      const inline = new TextEncoder().encode('{}')
      const value = { type: 'annotation' as const, targets, schema: version(created), inline }
      return { op: 'create', value: { ...value, sizeBytes: inline.length } }
    }
    const both = annotation(version(created), version(created, 1))
    const made = await dataset.propose(ada, annotation(version(created, 1)), both)
    await dataset.accept(ada, made)
    await dataset.propose(ada, both)
    const undecided = await dataset.propose(bob, annotation(version(waiting)))
    const nowhere = { proposal: textToId('nowhere'), index: 3 }
    await dataset.propose(bob, annotation(nowhere))
    const remove = (proposal: Proposal): Operation => {
      const object = objectIdOf(version(proposal), sha256)
      return { op: 'delete', object, base: [version(proposal)] }
    }
    for (const proposal of [made, undecided, waiting]) await dataset.propose(bob, remove(proposal))
    await dataset.accept(ada, await dataset.propose(ada, remove(made)))
    await dataset.propose(bob, remove(made))
    expect((await linesOf()).filter((line) => !line.startsWith('accept'))).toEqual([
      'delete an annotation of b.jpg',
      'delete an annotation of b.jpg',
      'delete c.jpg',
      'delete an annotation of c.jpg',
      'delete an annotation of b.jpg',
      'create an annotation',
      'create an annotation of c.jpg',
      'create an annotation of a.jpg …',
      'create an annotation of b.jpg and 1 more',
      'create c.jpg',
      'create a.jpg and 1 more',
      'create dataset letters',
    ])
  })

  it('of an author is what keys that begin so signed, and reads nothing else', async () => {
    const alike = ['u', 'v', 'w', 'x', 'y', 'z'].flatMap((letter) =>
      Array.from({ length: 60 }, (_, i) => signerNamed(`${letter}${i}`)),
    )
    const first = ada.publicKey.slice(0, 1)
    const others = alike.filter(({ publicKey }) => publicKey.startsWith(first)).slice(0, 17)
    const [one, two, ...more] = others as [Signer, Signer, ...Signer[]]
    expect(more).toHaveLength(15)
    const write = async (...signers: Signer[]) => {
      for (const signer of signers) await dataset.create(signer, await dataset.file('a.txt'))
    }
    const expectSameAsScan = async (author: string) => {
      const scanned = (await logOf()).filter((entry) => entry.author.startsWith(author))
      expect(await logOf({ author })).toEqual(scanned)
      expect(await logOf({ author, limit: 2 })).toEqual(scanned.slice(0, 2))
    }
    await write(one, two, cleo, ada, two, one)
    await expectSameAsScan(first)
    await expectSameAsScan(one.publicKey)
    await expectSameAsScan(signerNamed('nobody').publicKey)
    const read = vi.spyOn(dataset.replica.log, 'blocks')
    const found = await logOf({ author: one.publicKey })
    expect(found).toHaveLength(2)
    expect(read.mock.calls.flatMap(([ids]) => ids)).toHaveLength(2)
    await write(...more)
    await expectSameAsScan(first)
  })

  it('of an object is the events that made its versions', async () => {
    const created = await dataset.add(ada, await dataset.file('a.txt', 'one'))
    await dataset.add(ada, await dataset.file('b.txt'))
    const object = objectIdOf({ proposal: created.id, index: 0 }, sha256)
    const value = await dataset.file('a.txt', 'two')
    const base = [{ proposal: created.id, index: 0 }]
    const update = await dataset.propose(bob, { op: 'update', object, base, value })
    await dataset.accept(bob, update)
    expect((await logOf({ object: 'a.txt' })).map(({ kind, author }) => [kind, author])).toEqual([
      ['review', bob.publicKey],
      ['propose', bob.publicKey],
      ['review', ada.publicKey],
      ['propose', ada.publicKey],
    ])
    expect(await linesOf({ object: object.slice(0, 10), limit: 1 })).toEqual([
      `accept ${textOfEventId(update.id)}`,
    ])
    await expect(linesOf({ object: 'c.txt' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('marks what a removal has struck', async () => {
    const proposal = await dataset.create(cleo, await dataset.file('a.txt'))
    const [genesis] = await dataset.replica.log.heads()
    await dataset.replica.act(ada, { kind: 'remove', key: bob.publicKey })
    const block = await dataset.replica.log.block(genesis as never)
    expect(block).toBeDefined()
    const review = await dataset.forge(bob, {
      founder: 1,
      parents: [{ id: genesis, family: 'genesis' } as never],
      body: { kind: 'review', verdict: 'accept', items: [{ proposal: proposal.id }] },
    })
    const [newest] = await logOf()
    expect(newest).toMatchObject({ event: textOfEventId(review.id), void: true })
    expect(await show(dataset.replica, textOfEventId(review.id))).toMatchObject({ void: true })
  })
})

describe('showing one thing', () => {
  it('shows events with their bodies as text', async () => {
    const value = { ...(await dataset.file('a.txt')), meta: '{"x":1}' }
    const proposal = await dataset.replica.propose(cleo, [{ op: 'create', value }], {
      name: 'Cleo',
      labels: { uuid: '1' },
    })
    const review = await dataset.accept(ada, proposal)
    const id = textOfEventId(proposal.id)
    expect(await show(dataset.replica, id.slice(0, 20))).toEqual({
      type: 'event',
      event: id,
      kind: 'propose',
      author: cleo.publicKey,
      at: new Date(proposal.claimedAtMs).toISOString(),
      labels: { uuid: '1' },
      name: 'Cleo',
      operations: [
        {
          op: 'create',
          value: {
            type: 'file',
            name: 'a.txt',
            mediaType: 'text/plain',
            size: 5,
            cid: expect.stringMatching(/^bafkrei/),
            meta: '{"x":1}',
          },
        },
      ],
      status: [{ from: 0, to: 0, status: 'accepted', by: textOfEventId(review.id) }],
    })
    const shown = await show(dataset.replica, textOfEventId(review.id))
    expect(shown).toMatchObject({
      tenure: 'f0',
      depth: 1,
      parents: [textOfEventId(dataset.entry.id)],
      verdict: 'accept',
      items: [{ proposal: id }],
    })
    expect(() => JSON.stringify(shown)).not.toThrow()
  })

  it('shows an object with its versions, and one version', async () => {
    const created = await dataset.add(ada, await dataset.file('a.txt'), await dataset.file('b.txt'))
    const version = `${textOfEventId(created.id)}:1`
    const object = objectIdOf({ proposal: created.id, index: 1 }, sha256)
    const expected = {
      type: 'object',
      id: object,
      version,
      name: 'b.txt',
      status: 'accepted',
      heads: [version],
      versionCount: 1,
      versions: [expect.objectContaining({ version, op: 'create' })],
    }
    for (const ref of ['b.txt', object, object.slice(0, 16)]) {
      expect(await show(dataset.replica, ref)).toMatchObject(expected)
    }
    expect(await show(dataset.replica, version)).toMatchObject({
      type: 'version',
      version,
      object,
      op: 'create',
      status: 'accepted',
    })
    await expect(show(dataset.replica, `${textOfEventId(created.id)}:2`)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    for (const ref of ['', 'nothing', 'bafyreia:0', '00']) {
      await expect(show(dataset.replica, ref)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    }
    await expect(show(dataset.replica, 'b')).rejects.toMatchObject({ code: 'AMBIGUOUS' })
  })
})

describe('the owners', () => {
  const summary = async () =>
    (await listOwners({ ...node, me }, dataset.replica)).map(({ key, rank, name, confirmed }) => [
      key,
      rank,
      name,
      confirmed,
    ])

  it('come in rank order, and are confirmed once their key has signed something', async () => {
    expect(await summary()).toEqual([
      [ada.publicKey, 1, undefined, true],
      [bob.publicKey, 2, undefined, false],
    ])
    await dataset.create(bob, await dataset.file('a.txt'))
    const add = await dataset.replica.act(ada, { kind: 'add', key: cleo.publicKey, name: 'Cleo' })
    expect(await summary()).toEqual([
      [ada.publicKey, 1, undefined, true],
      [bob.publicKey, 2, undefined, true],
      [cleo.publicKey, 3, 'Cleo', false],
    ])
    const owners = await listOwners({ ...node, me }, dataset.replica)
    expect(owners[2]?.since).toBe(new Date(add.claimedAtMs).toISOString())
    await dataset.accept(cleo, await dataset.create(cleo, await dataset.file('b.txt')))
    expect((await summary())[2]).toEqual([cleo.publicKey, 3, 'Cleo', true])
  })

  it('that proposed before they were added are confirmed at once', async () => {
    await listOwners({ ...node, me }, dataset.replica)
    await dataset.create(cleo, await dataset.file('a.txt'))
    await dataset.replica.act(ada, { kind: 'add', key: cleo.publicKey })
    expect((await summary())[2]).toEqual([cleo.publicKey, 3, undefined, true])
  })

  it('that were removed are gone, and come back last', async () => {
    await dataset.replica.act(ada, { kind: 'add', key: cleo.publicKey })
    await dataset.replica.act(ada, { kind: 'remove', key: bob.publicKey })
    expect((await summary()).map(([key]) => key)).toEqual([ada.publicKey, cleo.publicKey])
    await dataset.replica.act(ada, { kind: 'add', key: bob.publicKey })
    expect((await summary()).map(([key]) => key)).toEqual([
      ada.publicKey,
      cleo.publicKey,
      bob.publicKey,
    ])
  })
})
