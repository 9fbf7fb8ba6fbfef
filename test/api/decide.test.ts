// Decisions, many at once and one by one: what is signed, what is not and why, and that asking again
// signs nothing twice.
import fc from 'fast-check'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { NodeContext } from '../../src/api/context.ts'
import { checkDecisions, decide } from '../../src/api/review/decide.ts'
import { queue } from '../../src/api/review/queue.ts'
import { acceptProposals, decideItems, review } from '../../src/api/review/review.ts'
import { listReviews } from '../../src/api/review/review-queue.ts'
import type { DecideRequest } from '../../src/contract/api.ts'
import { decodeEvent } from '../../src/core/event-codec.ts'
import type { FileValue, Operation, Proposal } from '../../src/core/event.ts'
import { objectIdOf, textOfEventId, type VersionId } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { signDraft } from '../../src/replica/replica.ts'
import { openValidator } from '../../src/validation/validator.ts'
import { type AnnotationNode, eventsOf, makeAnnotationNode } from './annotation-node.ts'
import { signerNamed, type TestDataset } from './make-node.ts'

const ada = signerNamed('ada')
const eve = signerNamed('eve')
const SCHEMA = '{"type":"object","required":["label"]}'
const SCHEMA_TYPE = 'application/schema+json'

const validator = openValidator()
let node: AnnotationNode
let dataset: TestDataset
let context: NodeContext

afterAll(() => validator.close())
beforeEach(async () => {
  node = await makeAnnotationNode(validator)
  context = node.as(ada)
  dataset = await node.createDataset('letters', [ada])
})
afterEach(() => node.close())

const at = ({ id }: Proposal, index = 0): VersionId => ({ proposal: id, index })
const text = ({ id }: Proposal, index = 0) => `${textOfEventId(id)}:${index}`
const objectOf = (id: VersionId) => objectIdOf(id, sha256)
const files = (...names: string[]) => Promise.all(names.map((name) => dataset.file(name)))
const accept = (...items: string[]): DecideRequest => ({
  decisions: [{ verdict: 'accept', items: items.map((item) => ({ item })) }],
})
const outcomes = ({ results }: { results: readonly { outcome: string }[] }) =>
  results.map(({ outcome }) => outcome)
const update = (base: Proposal, value: FileValue, on = base): Operation => {
  return { op: 'update', object: objectOf(at(base)), base: [at(on)], value }
}
function annotation(target: VersionId, schema: VersionId, document: string): Operation {
  const inline = new TextEncoder().encode(document)
  const value = { type: 'annotation' as const, targets: [target], schema, inline }
  return { op: 'create', value: { ...value, sizeBytes: inline.length } }
}
/** A file whose content is nowhere. */
const lostFile = async (name: string): Promise<FileValue> => {
  const content = (await dataset.file(name)).content.slice()
  content[35] = (content[35] as number) ^ 1
  return { type: 'file', name, mediaType: 'text/plain', sizeBytes: 1, content }
}

describe('decide', () => {
  it('decides the same as review does', async () => {
    const shape = fc.array(fc.array(fc.constantFrom('accept', 'reject', 'leave'), sizes), sizes)
    const property = fc.asyncProperty(shape, async (proposals) => {
      const decided: unknown[] = []
      for (const isOne of [true, false]) {
        const one = await makeAnnotationNode(validator)
        try {
          const data = await one.createDataset('letters', [ada])
          const chosen = { accept: [] as string[], reject: [] as string[] }
          const made: Proposal[] = []
          for (const [n, verdicts] of proposals.entries()) {
            const values = await Promise.all(verdicts.map((_, i) => data.file(`${n}/${i}`)))
            const proposal = await data.create(eve, ...values)
            made.push(proposal)
            for (const [i, verdict] of verdicts.entries()) {
              if (verdict !== 'leave') chosen[verdict].push(text(proposal, i))
            }
          }
          for (const verdict of ['accept', 'reject'] as const) {
            const items = chosen[verdict]
            if (items.length === 0) continue
            if (isOne) {
              const named = items.map((item) => ({ item }))
              await decide(one.as(ada), data.replica, { decisions: [{ verdict, items: named }] })
            } else await review(one.as(ada), data.entry, { verdict, items })
          }
          const rows = await data.replica.log.proposals(made.map(({ id }) => id))
          decided.push(
            rows.map((row) => row?.decisions.map(({ from, to, status }) => [from, to, status])),
          )
        } finally {
          await one.close()
        }
      }
      expect(decided[0]).toEqual(decided[1])
    })
    await fc.assert(property, { numRuns: 20 })
  })
  const sizes = { minLength: 1, maxLength: 5 }

  it('signs one event for each verdict and reason, and says of every item what became of it', async () => {
    const [a, b, c] = [
      await dataset.create(eve, ...(await files('a', 'a2'))),
      await dataset.create(eve, ...(await files('b'))),
      await dataset.create(eve, ...(await files('c'))),
    ] as const
    const done = await dataset.add(ada, await dataset.file('done'))
    const request: DecideRequest = {
      decisions: [
        { verdict: 'reject', reason: 'blurred', items: [{ item: text(b) }] },
        { verdict: 'accept', items: [{ item: text(a) }, { item: text(done) }] },
        { verdict: 'reject', reason: 'blurred', items: [{ item: text(c) }] },
      ],
    }
    const { events, results } = await decide(context, dataset.replica, request)
    expect(events.length).toBe(2)
    expect(results).toEqual([
      { item: text(b), outcome: 'decided' },
      { item: text(a), outcome: 'decided' },
      {
        item: text(done),
        outcome: 'alreadyDecided',
        what: expect.stringMatching(/^accepted by baf/) as string,
      },
      { item: text(c), outcome: 'decided' },
    ])
    const row = await dataset.replica.log.proposal(a.id)
    expect(row?.decisions.map(({ status }) => status)).toEqual(['accepted', 'pending'])
  })

  it('leaves out what cannot be accepted, each for its reason', async () => {
    const base = await dataset.add(ada, await dataset.file('base'))
    const newer = await dataset.propose(ada, update(base, await dataset.file('base', '2')))
    await dataset.accept(ada, newer)
    const schema = await dataset.add(ada, await dataset.file('schema-s', SCHEMA, SCHEMA_TYPE))
    const mixed = await dataset.propose(
      eve,
      { op: 'create', value: await dataset.file('good') },
      { op: 'create', value: { ...(await dataset.file('bad')), name: 'e\u0301' } },
      update(base, await dataset.file('base', '3')),
      { op: 'create', value: await lostFile('lost') },
      annotation(at(base), at(schema), '{}'),
      annotation(at(base), at(schema), '{"label":"cat"}'),
      annotation(at(base), at(base), '{"label":"cat"}'),
      { op: 'create', value: await dataset.file('schema-x', '{"type":5}', SCHEMA_TYPE) },
      annotation(at(base), { proposal: base.id.replace(/^./, '0') as never, index: 0 }, '{}'),
    )
    const request = accept(textOfEventId(mixed.id))
    const expected = [
      'decided',
      'badName',
      'stale',
      'notHere',
      'invalid',
      'decided',
      'invalid',
      'invalid',
      'notHere',
    ]
    const before = await eventsOf(dataset.replica)
    const checked = await checkDecisions(context, dataset.replica, request)
    expect(outcomes(checked)).toEqual(expected)
    expect(checked.events).toBe(1)
    expect(await eventsOf(dataset.replica)).toBe(before)
    const decided = await decide(context, dataset.replica, request)
    expect(decided.results).toEqual(checked.results)
    expect(decided.events.length).toBe(1)
    expect(decided.results.map(({ what }) => what?.split(':')[0])).toEqual([
      undefined,
      'BAD_NAME',
      'STALE_BASE',
      'NOT_HERE',
      'NOT_CONFORMING',
      undefined,
      'BAD_SCHEMA',
      'BAD_SCHEMA',
      'NOT_HERE',
    ])
  })

  it('accepts what builds on what it accepts, and nothing that builds on what it cannot', async () => {
    const good = await dataset.create(eve, await dataset.file('good'))
    const lost = await dataset.create(eve, await lostFile('lost'))
    const onGood = await dataset.propose(eve, update(good, await dataset.file('good', '2')))
    const onLost = await dataset.propose(eve, update(lost, await dataset.file('lost', '2')))
    const onThat = await dataset.propose(eve, update(lost, await dataset.file('lost', '3'), onLost))
    const items = [onThat, onLost, onGood, lost, good].map((proposal) => text(proposal))
    const checked = await checkDecisions(context, dataset.replica, accept(...items))
    expect(outcomes(checked)).toEqual(['stale', 'stale', 'decided', 'notHere', 'decided'])
    expect((await decide(context, dataset.replica, accept(...items))).results).toEqual(
      checked.results,
    )
  })

  it('is not misled by proposals that arrive before those they build on', async () => {
    const signed = (operation: Operation) => {
      const draft = { family: 'proposal' as const, dataset: dataset.replica.id, claimedAtMs: 0 }
      const block = signDraft({ ...draft, operations: [operation] }, eve, sha256)
      return decodeEvent(block, sha256) as Proposal
    }
    const lost = signed({ op: 'create', value: await lostFile('lost') })
    const second = signed(update(lost, await dataset.file('lost', '2')))
    const third = signed(update(lost, await dataset.file('lost', '3'), second))
    const chain = [third, second, lost]
    for (const { block } of chain) await dataset.replica.submit([block])
    const request = accept(...chain.map((proposal) => text(proposal)))
    const expected = ['stale', 'stale', 'notHere']
    expect(outcomes(await checkDecisions(context, dataset.replica, request))).toEqual(expected)
    expect(outcomes(await decide(context, dataset.replica, request))).toEqual(expected)
  })

  it('does not sign what has changed since it was seen', async () => {
    const base = await dataset.add(ada, await dataset.file('base'))
    const change = await dataset.propose(eve, {
      op: 'delete',
      object: objectOf(at(base)),
      base: [at(base)],
    })
    const fresh = await dataset.create(eve, await dataset.file('fresh'))
    const [seen, created] = (await queue(context, dataset.replica)).items
    const cid = created?.after?.cid as string
    await dataset.accept(ada, await dataset.propose(ada, update(base, await dataset.file('b2'))))
    const decideSeen = async (verdict: 'accept' | 'reject', content: string) => {
      const items = [
        { item: text(change), seen: { head: seen?.head as string } },
        { item: text(fresh), seen: { content, head: '' } },
      ]
      const request = { decisions: [{ verdict, items }] }
      const checked = await checkDecisions(context, dataset.replica, request)
      const decided = await decide(context, dataset.replica, request)
      expect(checked.results).toEqual(decided.results)
      expect(checked.events).toBe(decided.events.length)
      return outcomes(decided)
    }
    expect(seen?.head).toBe(text(base))
    expect(await decideSeen('reject', 'bafkreiother')).toEqual(['changed', 'changed'])
    expect(await decideSeen('reject', cid)).toEqual(['changed', 'decided'])
  })

  it('never signs both of two decisions that exclude each other, however close they come', async () => {
    const base = await dataset.add(ada, await dataset.file('base'))
    const updates = [
      await dataset.propose(eve, update(base, await dataset.file('b2'))),
      await dataset.propose(eve, update(base, await dataset.file('b3'))),
    ]
    const both = async (items: readonly string[]) => {
      const asked = items.map((item) => decide(context, dataset.replica, accept(item)))
      return (await Promise.all(asked)).flatMap(outcomes).sort()
    }
    expect(await both(updates.map((proposal) => text(proposal)))).toEqual(['decided', 'stale'])
    const fresh = text(await dataset.create(eve, await dataset.file('fresh')))
    expect(await both([fresh, fresh])).toEqual(['alreadyDecided', 'decided'])
  })

  it('refuses what it cannot carry out as a whole', async () => {
    const one = text(await dataset.create(eve, await dataset.file('one')))
    const refusal = (request: DecideRequest, by = context) =>
      expect(decide(by, dataset.replica, request)).rejects
    await refusal(accept(one), node.as(eve)).toMatchObject({ code: 'NOT_OWNER' })
    await refusal({ decisions: [{ verdict: 'accept' }] }).toMatchObject({ code: 'USAGE' })
    await refusal(accept(`${one.split(':')[0]}:1`)).toMatchObject({ code: 'NOT_FOUND' })
    const twice = {
      decisions: [...accept(one).decisions, { verdict: 'reject' as const, items: [{ item: one }] }],
    }
    await refusal(twice).toMatchObject({ code: 'USAGE' })
    const reason = 'x'.repeat(1025)
    const long = { decisions: accept(one).decisions.map((decision) => ({ ...decision, reason })) }
    await refusal(long).toMatchObject({ code: 'TOO_LARGE' })
    expect((await queue(context, dataset.replica)).items.length).toBe(1)
  })
})

describe('an idempotency key', () => {
  it('gets the same answer again, and nothing is signed twice, also after a restart', async () => {
    const proposal = await dataset.create(eve, ...(await files('a', 'b')))
    const request = { ...accept(text(proposal)), idempotencyKey: 'k1' }
    const [first, second] = await Promise.all([
      decide(context, dataset.replica, request),
      decide(context, dataset.replica, request),
    ])
    expect(first).toEqual(second)
    expect(outcomes(first)).toEqual(['decided'])
    const count = await eventsOf(dataset.replica)
    await node.replicas.close(dataset.entry.id)
    const reopened = await node.replicas.get(dataset.entry.id)
    expect(reopened).not.toBe(dataset.replica)
    expect(await decide(context, reopened, request)).toEqual(first)
    expect(await eventsOf(reopened)).toBe(count)
    const other = { ...accept(text(proposal, 1)), idempotencyKey: 'k1' }
    await expect(decide(context, reopened, other)).rejects.toMatchObject({ code: 'EXISTS' })
    const { idempotencyKey: _, ...again } = request
    expect(outcomes(await decide(context, reopened, again))).toEqual(['alreadyDecided'])
    expect(await eventsOf(reopened)).toBe(count)
  })

  it('asked again by somebody who hung up before is answered all the same', async () => {
    const proposal = await dataset.create(eve, ...(await files('a', 'b')))
    const request = { ...accept(text(proposal)), idempotencyKey: 'k' }
    const hungUp = new AbortController()
    const first = decide(context, dataset.replica, request, { signal: hungUp.signal })
    const again = [1, 2].map(() => decide(context, dataset.replica, request))
    hungUp.abort()
    await expect(first).rejects.toMatchObject({ code: 'CANCELLED' })
    const [one, other] = await Promise.all(again)
    expect(outcomes(one as NonNullable<typeof one>)).toEqual(['decided'])
    expect(other).toEqual(one)
  })

  it('is of one user, for a week, and not of what failed', async () => {
    const shared = await node.createDataset('shared', [ada, eve])
    const proposal = await shared.create(eve, await shared.file('a'), await shared.file('b'))
    const request = { ...accept(text(proposal)), idempotencyKey: 'k' }
    const wrong = { ...accept(text(proposal, 7)), idempotencyKey: 'k' }
    await expect(decide(context, shared.replica, wrong)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    expect(outcomes(await decide(context, shared.replica, request))).toEqual(['decided'])
    const ofEve = await decide(node.as(eve), shared.replica, request)
    expect(outcomes(ofEve)).toEqual(['alreadyDecided'])
    const week = 7 * 24 * 3_600_000
    const later = { ...context.clock, nowMs: () => context.clock.nowMs() + week }
    const asked = await decide({ ...context, clock: later }, shared.replica, request)
    expect(outcomes(asked)).toEqual(['alreadyDecided'])
  })

  it('is forgotten when there are too many', async () => {
    const proposal = await dataset.create(eve, ...(await files('a', 'b')))
    const request = { ...accept(text(proposal)), idempotencyKey: 'first' }
    await decide(context, dataset.replica, request)
    const fill = async (to: number, from = 0) => {
      for (let i = from; i < to; i++) {
        await decide(context, dataset.replica, {
          ...accept(text(proposal)),
          idempotencyKey: `${i}`,
        })
      }
    }
    await fill(499)
    expect(outcomes(await decide(context, dataset.replica, request))).toEqual(['decided'])
    await fill(500, 499)
    expect(outcomes(await decide(context, dataset.replica, request))).toEqual(['alreadyDecided'])
  })
})

describe('what does not conform', () => {
  let bad: Proposal
  let item: string

  beforeEach(async () => {
    const base = await dataset.add(ada, await dataset.file('base'))
    const schema = await dataset.add(ada, await dataset.file('schema-s', SCHEMA, SCHEMA_TYPE))
    bad = await dataset.propose(eve, annotation(at(base), at(schema), '{"name":1}'))
    item = text(bad)
  })

  it('is accepted by none of the ways there are', async () => {
    const { replica } = dataset
    const before = await eventsOf(replica)
    const refused = {
      code: 'NOT_CONFORMING',
      message: expect.stringContaining('required') as string,
    }
    const verdict = 'accept' as const
    await expect(review(context, dataset.entry, { verdict, items: [item] })).rejects.toMatchObject({
      ...refused,
      details: { item, errors: [{ path: '', rule: 'required' }] },
    })
    await expect(review(context, dataset.entry, { verdict, all: {} })).rejects.toMatchObject(
      refused,
    )
    const items = [{ proposal: bad.id }]
    const byId = decideItems(context, replica, { verdict, items, allowStale: true })
    await expect(byId).rejects.toMatchObject(refused)
    await expect(acceptProposals(context, replica, [bad])).rejects.toMatchObject(refused)
    expect(outcomes(await decide(context, replica, accept(item)))).toEqual(['invalid'])
    expect(await eventsOf(replica)).toBe(before)
    const [listed] = await listReviews(context, replica)
    expect(listed).toMatchObject({ event: textOfEventId(bad.id), invalid: 1 })
  })

  it('can be rejected', async () => {
    const { events } = await review(context, dataset.entry, { verdict: 'reject', items: [item] })
    expect(events.length).toBe(1)
  })

  it('is also a schema that is none', async () => {
    const schema = await dataset.create(eve, await dataset.file('schema-t', '[]', SCHEMA_TYPE))
    const items = [text(schema)]
    const bad = review(context, dataset.entry, { verdict: 'accept', items })
    await expect(bad).rejects.toMatchObject({ code: 'BAD_SCHEMA' })
    await expect(acceptProposals(context, dataset.replica, [schema])).rejects.toMatchObject({
      code: 'BAD_SCHEMA',
    })
  })
})

describe('decideItems', () => {
  it('is all or nothing, and may allow bases that are not current', async () => {
    const base = await dataset.add(ada, await dataset.file('base'))
    await dataset.accept(ada, await dataset.propose(ada, update(base, await dataset.file('b2'))))
    const stale = await dataset.propose(eve, update(base, await dataset.file('b3')))
    const fresh = await dataset.create(eve, await dataset.file('fresh'))
    const decision = {
      verdict: 'accept' as const,
      items: [{ proposal: fresh.id }, { proposal: stale.id }],
      reason: 'as it was',
    }
    const strict = decideItems(context, dataset.replica, decision)
    await expect(strict).rejects.toMatchObject({ code: 'STALE_BASE' })
    const events = await decideItems(context, dataset.replica, { ...decision, allowStale: true })
    expect(events.length).toBe(1)
    const again = decideItems(context, dataset.replica, decision)
    await expect(again).rejects.toMatchObject({ code: 'ALREADY_DECIDED' })
  })

  it('lets an old version of a schema be deprecated', async () => {
    const schema = await dataset.add(ada, await dataset.file('schema-s', SCHEMA, SCHEMA_TYPE))
    const newer = await dataset.file('schema-s', '{}', SCHEMA_TYPE)
    await dataset.accept(ada, await dataset.propose(ada, update(schema, newer)))
    const object = objectOf(at(schema))
    const end = await dataset.propose(eve, { op: 'delete', object, base: [at(schema)] })
    const { items } = await queue(context, dataset.replica)
    expect(items[0]).toMatchObject({ stale: false, canAccept: true })
    const decision = { verdict: 'accept' as const, items: [{ proposal: end.id }] }
    expect((await decideItems(context, dataset.replica, decision)).length).toBe(1)
  })
})
