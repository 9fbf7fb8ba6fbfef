import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Notices, type StreamRequest } from '../../src/api/history/stream.ts'
import type { Notice } from '../../src/contract/api.ts'
import { textOfEventId } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { signDraft } from '../../src/replica/replica.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const ada = signerNamed('ada')
const bob = signerNamed('bob')
const stop = new AbortController()
let node: TestNode
let cells: TestDataset
let stars: TestDataset
let notices: Notices

beforeEach(async () => {
  node = await makeNode()
  cells = await node.createDataset('cells', [ada])
  stars = await node.createDataset('stars', [ada])
  notices = new Notices(node, { remembered: 6 })
})
afterEach(() => node.close())

async function take(stream: AsyncGenerator<Notice>, count: number): Promise<Notice[]> {
  const taken: Notice[] = []
  while (taken.length < count) {
    const next = await stream.next()
    if (next.done === true) break
    taken.push(next.value)
  }
  return taken
}

const follow = (request: StreamRequest = {}) => notices.follow(request, { signal: stop.signal })
const kindsOf = (all: readonly Notice[]) => all.map(({ kind }) => kind)

describe('notices', () => {
  it('say what happened, from the call on', async () => {
    await cells.create(ada, await cells.file('before.txt'))
    const stream = follow()
    const proposal = await cells.create(ada, await cells.file('a.txt'))
    await cells.accept(ada, proposal)
    const dataset = textOfEventId(cells.entry.id)
    const ids = [textOfEventId(proposal.id)]
    expect(await take(stream, 3)).toEqual([
      { seq: expect.any(Number), dataset, kind: 'proposal', ids },
      { seq: expect.any(Number), dataset, kind: 'decision', ids },
      { seq: expect.any(Number), dataset, kind: 'root', ids: [] },
    ])
    const waiting = take(stream, 2)
    await cells.replica.act(ada, { kind: 'add', key: bob.publicKey })
    expect(kindsOf(await waiting)).toEqual(['owner', 'root'])
    notices.peer('peer 1')
    expect(await take(stream, 1)).toMatchObject([{ dataset: '', kind: 'peer', ids: ['peer 1'] }])
    await stream.return(undefined)
  })

  it('are of the datasets asked for, and of peers', async () => {
    const stream = follow({ datasets: [stars.entry.id] })
    await cells.create(ada, await cells.file('a.txt'))
    notices.peer('peer 1')
    const proposal = await stars.create(ada, await stars.file('b.txt'))
    expect(await take(stream, 2)).toMatchObject([
      { kind: 'peer' },
      { kind: 'proposal', ids: [textOfEventId(proposal.id)] },
    ])
    await stream.return(undefined)
  })

  it('can be had again while they are remembered, else there is one reset', async () => {
    const first = follow()
    for (let i = 0; i < 4; i++) notices.peer(`peer ${i}`)
    const all = await take(first, 4)
    const since = all[0]?.seq ?? 0
    expect(await take(follow({ since }), 3)).toEqual(all.slice(1))
    for (let i = 4; i < 7; i++) notices.peer(`peer ${i}`)
    expect((await take(follow({ since }), 6)).map(({ ids }) => ids[0])).toEqual(
      [1, 2, 3, 4, 5, 6].map((i) => `peer ${i}`),
    )
    notices.peer('peer 7')
    const late = follow({ since })
    const [reset] = await take(late, 1)
    expect(reset).toMatchObject({ kind: 'reset', ids: [], seq: since + 7 })
    notices.peer('peer 8')
    expect(await take(late, 1)).toMatchObject([{ ids: ['peer 8'], seq: since + 8 }])
    for (const unknown of [0, since + 1_000]) {
      expect(kindsOf(await take(follow({ since: unknown }), 1))).toEqual(['reset'])
    }
  })

  it('reach a reader that is slow as a reset, not as a queue', async () => {
    const slow = follow()
    notices.peer('peer 0')
    await take(slow, 1)
    for (let i = 1; i <= 100; i++) notices.peer(`peer ${i}`)
    expect(kindsOf(await take(slow, 1))).toEqual(['reset'])
    notices.peer('peer 101')
    expect(await take(slow, 1)).toMatchObject([{ ids: ['peer 101'] }])
  })

  it('name at most 50 things each', async () => {
    const operations = [{ op: 'create' as const, value: await cells.file('a.txt') }]
    const draft = { family: 'proposal' as const, dataset: cells.entry.id, operations }
    const blocks = [...Array(120).keys()].map((i) =>
      signDraft({ ...draft, claimedAtMs: i }, bob, sha256),
    )
    const stream = follow()
    await cells.replica.submit(blocks)
    expect((await take(stream, 3)).map(({ ids }) => ids.length)).toEqual([50, 50, 20])
    await stream.return(undefined)
  })

  it('end when they are stopped', async () => {
    const mine = new AbortController()
    const stream = notices.follow({}, { signal: mine.signal })
    const end = stream.next()
    mine.abort()
    expect(await end).toEqual({ done: true, value: undefined })
  })
})
