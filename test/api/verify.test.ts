import { CID } from 'multiformats/cid'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listReleases } from '../../src/api/datasets/releases.ts'
import { verify } from '../../src/api/copies/verify.ts'
import { textOfEventId } from '../../src/core/ids.ts'
import { hex, homeKey } from '../../src/log/keys.ts'
import type { ProposalRow } from '../../src/log/rows.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const ada = signerNamed('ada')
let node: TestNode
let dataset: TestDataset

beforeEach(async () => {
  node = await makeNode()
  dataset = await node.createDataset('letters', [ada])
})
afterEach(() => node.close())

const check = () => verify(node, dataset.entry)

async function fill() {
  const files = ['a.txt', 'dir/b.txt', 'dir/c.txt'].map((name) => dataset.file(name))
  const added = await dataset.add(ada, ...(await Promise.all(files)))
  const large = await node.files.put([new Uint8Array(1_500_000).fill(7)])
  const content = large.cid.bytes
  const value = {
    type: 'file' as const,
    name: 'large',
    mediaType: 'x/y',
    sizeBytes: large.sizeBytes,
    content,
  }
  await dataset.add(ada, value)
  return { added, large: large.cid }
}

describe('verifying', () => {
  it('finds nothing wrong with a sound dataset, and counts what it read', async () => {
    await fill()
    const pending = await dataset.create(ada, await dataset.file('pending.txt'))
    const progress: string[] = []
    const result = await verify(node, dataset.entry, {
      onProgress: ({ what }) => progress.push(what),
    })
    expect(result).toMatchObject({ ok: true, problems: [] })
    expect(result.events).toBe(6)
    // Snapshot, two trees, files/ and dir/; three small files, and a large one of three blocks.
    expect(result.blocks).toBe(5 + 3 + 3)
    expect(result.bytes).toBeGreaterThan(1_500_000 + pending.block.length)
    expect(new Set(progress)).toEqual(new Set(['verifying events', 'verifying files']))
  })

  it('verifies a dataset of nothing but its genesis', async () => {
    expect(await check()).toMatchObject({ ok: true, events: 1, problems: [] })
  })

  it('names the file of a lost block', async () => {
    const { added, large } = await fill()
    const small = (await dataset.file('a.txt')).content
    await node.files.blocks.delete(CID.decode(small))
    for await (const { cid } of node.files.walk(large)) {
      if (!cid.equals(large)) await node.files.blocks.delete(cid)
    }
    const { ok, problems } = await check()
    expect(ok).toBe(false)
    expect(problems).toHaveLength(2)
    const [first] = problems.filter((line) => line.startsWith('a.txt '))
    expect(first).toContain(`${textOfEventId(added.id)}:0, ${CID.decode(small)}`)
    expect(first).toContain('the content is missing or damaged: connect to a peer')
    expect(problems.find((line) => line.startsWith('large '))).toMatch(
      /block bafkrei\S+ and 1 more/,
    )
  })

  it('names an event that is damaged, and what no longer follows', async () => {
    const { added } = await fill()
    const key = homeKey('events', hex(added.id))
    const block = (await node.db.get(key)) as Uint8Array
    const damaged = Uint8Array.from(block)
    damaged[damaged.length - 1] = (damaged.at(-1) as number) ^ 1
    await node.db.put(key, damaged)
    const { ok, problems } = await check()
    expect(ok).toBe(false)
    expect(problems[0]).toBe(
      `event ${textOfEventId(added.id)} is missing or damaged: clone the dataset again from a peer`,
    )
    expect(problems.some((line) => line.startsWith('root is published as '))).toBe(true)
    await node.db.put(key, block)
    expect(await check()).toMatchObject({ ok: true })
  })

  it('goes on when a release cannot be read', async () => {
    await fill()
    const release = await dataset.release(ada, 'v1')
    await node.db.del(homeKey('events', hex(release.id)))
    const { problems } = await check()
    expect(problems[0]).toContain(`event ${textOfEventId(release.id)} is missing or damaged`)
  })

  it('audits releases on the way', async () => {
    await fill()
    await dataset.release(ada, 'v1')
    await dataset.release(ada, 'v2')
    expect(await check()).toMatchObject({ ok: true })
    const checks = (await listReleases(dataset.replica)).map(({ check }) => check)
    expect(checks).toEqual(['ok', 'ok'])
  })

  it('names a pending proposal that is damaged', async () => {
    const proposal = await dataset.create(ada, await dataset.file('pending.txt'))
    await node.db.del(homeKey('events', hex(proposal.id)))
    expect((await check()).problems).toEqual([
      `pending proposal ${textOfEventId(proposal.id)} is missing or damaged: clone the dataset again from a peer`,
    ])
  })

  it('says nothing of a pending proposal that has to give way meanwhile', async () => {
    const proposal = await dataset.create(ada, await dataset.file('pending.txt'))
    const { log } = dataset.replica
    const { arrival, author } = (await log.proposal(proposal.id)) as ProposalRow
    const entry = { id: proposal.id, peer: 0, author, arrival }
    const blocks = log.blocks.bind(log)
    log.blocks = async (ids) => {
      if (ids.includes(proposal.id)) await log.commit(log.pool.deleteProposal(entry, []))
      return blocks(ids)
    }
    expect(await check()).toMatchObject({ ok: true, problems: [] })
    expect(await log.proposal(proposal.id)).toBeUndefined()
  })

  it('puts lost nodes of trees back', async () => {
    await fill()
    await dataset.replica.snapshot()
    const nodes: CID[] = []
    for await (const cid of node.nodes.list()) nodes.push(cid)
    for (const cid of nodes) await node.nodes.put(cid, Uint8Array.of(1))
    const { ok, problems } = await check()
    expect(ok).toBe(false)
    expect(problems).toHaveLength(5)
    for (const line of problems) expect(line).toContain('is put back: verify again')
    expect(problems.map((line) => line.split(':')[0])).toEqual([
      'snapshot',
      'state tree',
      'events tree',
      'files/',
      'files/',
    ])
    expect(await check()).toMatchObject({ ok: true })
  })

  it('checks the root that is pinned', async () => {
    const { root } = await dataset.replica.snapshot()
    const entry = await node.catalog.update(dataset.entry.id, { pinnedRoot: root.toString() })
    expect(await verify(node, entry)).toMatchObject({ ok: true })
    await fill()
    expect((await verify(node, entry)).problems).toEqual([
      expect.stringMatching(/^the state here is bafyrei\S+, not the root that is pinned/),
    ])
  })

  it('can be stopped', async () => {
    await fill()
    const signal = AbortSignal.abort()
    await expect(verify(node, dataset.entry, { signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    })
  })
})
