import { readdir } from 'node:fs/promises'
import { CID } from 'multiformats/cid'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { diff } from '../../src/api/history/diff.ts'
import {
  auditRelease,
  auditReleases,
  listReleases,
  resolveTag,
  showRelease,
} from '../../src/api/datasets/releases.ts'
import type { Genesis, OwnerEvent } from '../../src/core/event.ts'
import { objectIdOf, textOfEventId } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { readEvent } from '../../src/api/resolve.ts'
import { historyOf, recompute } from '../../src/replica/recompute.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const ada = signerNamed('ada')
const bob = signerNamed('bob')
let node: TestNode
let dataset: TestDataset

beforeEach(async () => {
  node = await makeNode()
  dataset = await node.createDataset('letters', [ada, bob])
})
afterEach(async () => {
  expect(await readdir(node.scratch)).toEqual([])
  await node.close()
})

const genesis = async () => (await readEvent(dataset.replica.log, dataset.entry.id)) as Genesis

describe('recomputing', () => {
  it('gives the root that was published at every past', async () => {
    const seen: { heads: readonly string[]; root: CID }[] = []
    const note = async () => {
      const { heads, root } = await dataset.replica.snapshot()
      seen.push({ heads, root })
    }
    await note()
    const created = await dataset.add(ada, await dataset.file('a.txt'), await dataset.file('d/b'))
    await note()
    const object = objectIdOf({ proposal: created.id, index: 0 }, sha256)
    const base = [{ proposal: created.id, index: 0 }]
    await dataset.accept(bob, await dataset.propose(bob, { op: 'delete', object, base }))
    await note()
    await dataset.reject(bob, await dataset.create(bob, await dataset.file('c')))
    await dataset.create(bob, await dataset.file('pending'))
    await dataset.replica.act(ada, { kind: 'remove', key: bob.publicKey })
    await note()
    for (const { heads, root } of seen) {
      const history = historyOf(dataset.replica.log, heads as never)
      const { snapshot, isComplete, refused, missing } = await recompute(node, history)
      expect(snapshot?.root.toString()).toBe(root.toString())
      expect({ isComplete, refused, missing }).toEqual({
        isComplete: true,
        refused: [],
        missing: [],
      })
    }
  })

  it('leaves nothing behind when it fails or is stopped', async () => {
    await dataset.add(ada, await dataset.file('a.txt'))
    const { log } = dataset.replica
    const unknown = 'ab'.repeat(32) as never
    await expect(recompute(node, historyOf(log, [unknown]))).rejects.toMatchObject({
      code: 'NOT_HERE',
    })
    const heads = await log.heads()
    const signal = AbortSignal.abort()
    await expect(recompute(node, historyOf(log, heads), { signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    })
    expect(await readdir(node.scratch)).toEqual([])
  })
})

describe('releases', () => {
  it('are checked by recomputing, once', async () => {
    await dataset.add(ada, await dataset.file('a.txt'))
    const { root } = await dataset.replica.snapshot()
    const release = await dataset.release(ada, 'v1')
    await dataset.add(ada, await dataset.file('b.txt'))
    expect(await showRelease(dataset.replica, 'v1')).toEqual({
      tag: 'v1',
      root: root.toString(),
      event: textOfEventId(release.id),
      by: ada.publicKey,
      at: new Date(release.claimedAtMs).toISOString(),
      check: 'checking',
      shadowed: false,
    })
    expect(await auditRelease(node, dataset.replica, release.id)).toBe('ok')
    expect((await showRelease(dataset.replica, 'v1')).check).toBe('ok')
    const nowhere = { ...node, scratch: '/nowhere/at/all' }
    expect(await auditRelease(nowhere, dataset.replica, release.id)).toBe('ok')
  })

  it('that name another root are marked', async () => {
    const before = (await dataset.replica.snapshot()).root
    await dataset.add(ada, await dataset.file('a.txt'))
    await dataset.release(ada, 'wrong', before)
    await auditReleases(node, dataset.replica)
    expect((await showRelease(dataset.replica, 'wrong')).check).toBe('mismatch')
  })

  it('of different branches are each checked against their own past', async () => {
    const roots: CID[] = []
    const heads: OwnerEvent[][] = [[]]
    for (const [i, by] of [ada, bob, ada, bob].entries()) {
      const proposal = await dataset.create(by, await dataset.file(`${i}.txt`))
      const body = {
        kind: 'review' as const,
        verdict: 'accept' as const,
        items: [{ proposal: proposal.id }],
      }
      // Two branches off the genesis, each of two events.
      const before = heads[i < 2 ? 0 : i - 1]?.[0]
      const parents = before === undefined ? [await genesis()] : [before]
      const accept = await dataset.forge(by, { founder: by === ada ? 0 : 1, parents, body })
      heads.push([accept])
      const past = historyOf(dataset.replica.log, [accept.id])
      roots.push((await recompute(node, past)).snapshot?.root as CID)
    }
    for (const [i, by] of [ada, bob, ada, bob].entries()) {
      const parents = heads[i + 1] as OwnerEvent[]
      const body = { kind: 'release' as const, tag: `v${i}`, root: (roots[i] as CID).bytes }
      await dataset.forge(by, { founder: by === ada ? 0 : 1, parents, body })
    }
    await dataset.release(ada, 'all')
    await auditReleases(node, dataset.replica)
    const checks = (await listReleases(dataset.replica)).map(({ tag, check }) => `${tag} ${check}`)
    expect(checks).toEqual(['all ok', 'v0 ok', 'v1 ok', 'v2 ok', 'v3 ok'])
    // Roots this node was never at itself are here now, to be served and pinned.
    for (const root of roots) expect(await node.nodes.has(root)).toBe(true)
  })

  it('stay unchecked while a proposal of their past is not here', async () => {
    await dataset.accept(ada, 'cd'.repeat(32) as never)
    const release = await dataset.release(ada, 'v1')
    expect(await auditRelease(node, dataset.replica, release.id)).toBe('checking')
  })

  it('claim a tag by date: the earliest owns it, the others are shadowed', async () => {
    const root = (await dataset.replica.snapshot()).root
    const body = (text: string) => ({ kind: 'release' as const, tag: 'v1', root: root.bytes, text })
    const parents = [await genesis()]
    await dataset.forge(bob, { founder: 1, parents, body: body('by bob') })
    await dataset.forge(ada, { founder: 0, parents, body: body('by ada') })
    await dataset.release(ada, 'v0')
    const list = (await listReleases(dataset.replica)).map(({ tag, text, shadowed }) => ({
      tag,
      text,
      shadowed,
    }))
    expect(list).toEqual([
      { tag: 'v0', text: undefined, shadowed: false },
      { tag: 'v1', text: 'by ada', shadowed: false },
      { tag: 'v1', text: 'by bob', shadowed: true },
    ])
    expect((await showRelease(dataset.replica, 'v1')).text).toBe('by ada')
  })

  it('that were struck claim nothing', async () => {
    const root = (await dataset.replica.snapshot()).root
    const parents = [await genesis()]
    await dataset.replica.act(ada, { kind: 'remove', key: bob.publicKey })
    const body = { kind: 'release' as const, tag: 'v1', root: root.bytes }
    await dataset.forge(bob, { founder: 1, parents, body })
    expect(await listReleases(dataset.replica)).toEqual([])
    await expect(resolveTag(dataset.replica, 'v1')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('the difference of two points', () => {
  const changesOf = async (a: string, b?: string) =>
    (await diff(node, dataset.replica, { a, b })).changes.map(
      ({ name, change }) => `${change} ${name}`,
    )

  async function threePoints() {
    const first = await dataset.add(
      ada,
      await dataset.file('a.txt', 'one'),
      await dataset.file('d/b'),
    )
    await dataset.release(ada, 'v1')
    const base = [{ proposal: first.id, index: 0 }]
    const object = objectIdOf({ proposal: first.id, index: 0 }, sha256)
    const value = await dataset.file('a.txt', 'two')
    const update = await dataset.propose(ada, { op: 'update', object, base, value })
    await dataset.accept(ada, update)
    await dataset.add(ada, await dataset.file('d/c/new'))
    await dataset.release(ada, 'v2')
    const deletion = await dataset.propose(ada, {
      op: 'delete',
      object: objectIdOf({ proposal: first.id, index: 1 }, sha256),
      base: [{ proposal: first.id, index: 1 }],
    })
    await dataset.accept(ada, deletion)
  }

  it('is told by name, from a tag, a root or the current state', async () => {
    await threePoints()
    const v1 = (await showRelease(dataset.replica, 'v1')).root
    expect(await changesOf('v1', 'v2')).toEqual(['changed a.txt', 'added d/c/new'])
    expect(await changesOf('v2', v1)).toEqual(['changed a.txt', 'removed d/c/new'])
    expect(await changesOf(v1)).toEqual(['changed a.txt', 'removed d/b', 'added d/c/new'])
    expect(await changesOf('v2')).toEqual(['removed d/b'])
    expect(await changesOf('v1', 'v1')).toEqual([])
    const { changes } = await diff(node, dataset.replica, { a: 'v1', b: 'v2' })
    const [before, after] = [await dataset.file('', 'one'), await dataset.file('', 'two')]
    expect(changes[0]).toMatchObject({
      before: CID.decode(before.content).toString(),
      after: CID.decode(after.content).toString(),
    })
  })

  it('comes page by page, between the points of the first page', async () => {
    await threePoints()
    const pages: string[][] = []
    let after: string | undefined
    do {
      const page = await diff(node, dataset.replica, { a: 'v1', limit: 1, ...(after && { after }) })
      pages.push(page.changes.map(({ name }) => name))
      after = page.next
      // None of the pages shows what comes meanwhile.
      await dataset.add(ada, await dataset.file(`later-${pages.length}`))
    } while (after !== undefined)
    expect(pages.map((names) => names.length)).toEqual([1, 1, 1])
    expect(pages.flat().sort()).toEqual(['a.txt', 'd/b', 'd/c/new'])
  })

  it('takes no cursor but its own', async () => {
    await threePoints()
    const { next } = await diff(node, dataset.replica, { a: 'v1', b: 'v2', limit: 1 })
    const other = { a: 'v2', b: 'v1', after: next as string }
    for (const request of [other, { a: 'v1', after: 'x' }, { a: 'v1', after: '' }]) {
      await expect(diff(node, dataset.replica, request)).rejects.toMatchObject({ code: 'USAGE' })
    }
  })

  it('is the same when the old trees are not here', async () => {
    await threePoints()
    await dataset.replica.snapshot()
    const names: string[] = []
    for await (const cid of node.nodes.list()) names.push(cid.toString())
    for (const cid of names) await node.nodes.delete(CID.parse(cid))
    expect(await changesOf('v1', 'v2')).toEqual(['changed a.txt', 'added d/c/new'])
    expect(await changesOf('v2')).toEqual(['removed d/b'])
  })

  it('is refused for points that are not known, and for roots that no history gives', async () => {
    const other = await node.createDataset('other', [bob])
    const foreign = (await other.replica.snapshot()).root.toString()
    const unknown = CID.decode((await dataset.file('x')).content).toString()
    for (const ref of ['v9', foreign, unknown]) {
      await expect(diff(node, dataset.replica, { a: ref })).rejects.toMatchObject({
        code: 'NOT_FOUND',
      })
    }
    await dataset.release(ada, 'lie', CID.parse(textOfEventId(dataset.entry.id)))
    await expect(diff(node, dataset.replica, { a: 'lie' })).rejects.toMatchObject({
      code: 'BAD_ROOT',
    })
  })
})
