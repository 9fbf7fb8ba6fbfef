// What people on four machines do with one dataset.
import { beforeAll, describe, expect, it } from 'vitest'
import type { AddResult, CloneResult, VerifyResult } from '../../src/contract/api.ts'
import { until } from '../node/daemon.ts'
import {
  contributorA,
  contributorB,
  docker,
  everybody,
  maintainer,
  sameRoot,
  seeder,
} from './peers.ts'

beforeAll(() => Promise.all(everybody.map((peer) => peer.ready())))

describe('four peers', () => {
  it('are all healthy, as Docker sees it', async () => {
    for (const { container, name } of everybody) {
      const state = () => docker('inspect', '-f', '{{.State.Health.Status}}', container)
      await until(`${name} is healthy`, async () => (await state()).trim() === 'healthy', 60_000)
    }
  })

  it('review: what one proposes and another accepts, both have', async () => {
    await maintainer.gonk('dataset', 'create', 'review')
    const first = await maintainer.makeFiles('review-first', 10, 50_000)
    const added = await maintainer.gonk<AddResult>('add', 'review', first, '--accept')
    expect(added.objects).toHaveLength(10)
    const root = await maintainer.root('review')

    const clone = ['clone', root, '--peer', await maintainer.address()]
    expect(await contributorA.gonk<CloneResult>(...clone)).toMatchObject({
      name: 'review',
      root,
      objects: 10,
      bytes: 500_000,
    })
    const second = await contributorA.makeFiles('review-second', 5, 70_000)
    const proposed = await contributorA.gonk<AddResult>('add', 'review', second)
    expect(proposed.objects.map(({ status }) => status)).toEqual(Array(5).fill('pending'))
    expect(await contributorA.root('review')).toBe(root)

    const [event = ''] = proposed.events
    await until('the maintainer sees the proposal', async () =>
      (await maintainer.pending('review')).includes(event),
    )
    await maintainer.gonk('review', 'accept', 'review', event)
    expect(await sameRoot('review', [maintainer, contributorA])).not.toBe(root)
    expect(await contributorA.pending('review')).toEqual([])
  })

  it('pass a dataset on: from the seeder alone, byte for byte', async () => {
    await maintainer.gonk('dataset', 'create', 'chain')
    const source = await maintainer.makeFiles('chain', 20, 300_000)
    await maintainer.gonk('add', 'chain', source, '--accept')
    const root = await maintainer.root('chain')
    const expected = await maintainer.digests(source)
    await seeder.gonk('clone', root, '--peer', await maintainer.address())

    // Contributor A has no part of this dataset: with the maintainer gone, only the seeder has.
    await maintainer.stop()
    try {
      const clone = ['clone', root, '--peer', await seeder.address()]
      expect(await contributorB.gonk<CloneResult>(...clone)).toMatchObject({ root, objects: 20 })
    } finally {
      await maintainer.start()
    }
    expect(await contributorB.gonk<VerifyResult>('verify', 'chain')).toMatchObject({
      ok: true,
      problems: [],
    })
    await contributorB.gonk('checkout', 'chain', '/tmp/chain-out')
    expect(await contributorB.digests('/tmp/chain-out')).toEqual(expected)
  })
})
