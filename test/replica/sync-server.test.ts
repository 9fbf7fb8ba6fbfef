import { describe, expect, it } from 'vitest'
import { isRejection } from '../../src/core/errors.ts'
import { type EventId, eventIdOfBlock } from '../../src/core/ids.ts'
import {
  decodeResponse,
  encodeRequest,
  type LogCursor,
  type SyncRequest,
  type SyncResponse,
  syncLimits,
} from '../../src/replica/sync-messages.ts'
import { createSyncServer } from '../../src/replica/sync-server.ts'
import { fetchEvents } from '../../src/replica/sync-client.ts'
import { DATASET, history, makeEvent, sha256, World } from './sync-world.ts'

const signal = new AbortController().signal

function serverOf(world: World) {
  const serve = createSyncServer({
    source: (dataset) => (dataset === DATASET ? world : undefined),
    heard: () => {},
  })
  return async <K extends SyncResponse['k']>(request: SyncRequest, k: K) => {
    const bytes = await serve('peer', encodeRequest(request), signal)
    expect(bytes.length).toBeLessThanOrEqual(syncLimits.responseBytesMax)
    const response = decodeResponse(bytes, 'width' in request ? request.width : 8)
    if (isRejection(response) || response.k !== k) throw new Error(JSON.stringify(response))
    return response as Extract<SyncResponse, { k: K }>
  }
}

describe('the sync server', () => {
  it('pages through a log whose one review names more than a page of proposals', async () => {
    const proposals = Array.from({ length: 40 }, (_, i) => makeEvent(i, { sizeBytes: 200_000 }))
    const names = proposals.map(({ id }) => id)
    const review = makeEvent('review', { depth: 1, parents: [DATASET], names })
    const world = new World().put(makeEvent('genesis', { depth: 0 }), proposals, review)
    const ask = serverOf(world)
    const got: EventId[] = []
    let pages = 0
    let from: LogCursor | undefined = { depth: 0, id: '', skip: 0 }
    while (from !== undefined) {
      const request = {
        k: 'log',
        dataset: DATASET,
        from,
        bytesMax: syncLimits.pageBytesMax,
      } as const
      const page: Extract<SyncResponse, { k: 'log' }> = await ask(request, 'log')
      got.push(...page.events.map((block) => eventIdOfBlock(block, sha256)))
      from = page.next
      pages++
    }
    expect(got).toEqual([DATASET, ...names, review.id])
    expect(pages).toBeGreaterThan(7)
  })

  it('sends what was named before only once in a page, and events in order of depth', async () => {
    const events = history(100, { reviewed: 1 })
    const ask = serverOf(new World().put(events))
    const from = { depth: 50, id: '', skip: 0 } as const
    const page = await ask({ k: 'log', dataset: DATASET, from, bytesMax: 1_000_000 }, 'log')
    const expected = events.slice(1 + 2 * 49).map(({ id }) => id)
    expect(page.events.map((block) => eventIdOfBlock(block, sha256))).toEqual(expected)
    expect(page.next).toBeUndefined()
  })

  it('gets events of either set by id, and leaves out those that are not here', async () => {
    const loose = makeEvent('loose')
    const world = new World().put(history(2), loose)
    const ids = [DATASET, makeEvent('elsewhere').id, loose.id]
    const ask = async (body: Uint8Array) =>
      createSyncServer({ source: () => world, heard: () => {} })('peer', body, signal)
    const blocks = await fetchEvents({ dataset: DATASET, sha256, ask }, ids)
    expect(blocks.map((block) => eventIdOfBlock(block, sha256))).toEqual([DATASET, loose.id])
  })

  it('answers with a code what it does not know, cannot read, or is too busy for', async () => {
    const ask = serverOf(new World().put(history(1)))
    expect(await ask(helloTo(makeEvent('other').id), 'no')).toEqual({
      k: 'no',
      code: 'unknown-dataset',
    })
    const world = new World().put(history(1))
    const serve = createSyncServer({ source: () => world, heard: () => {} })
    const garbage = decodeResponse(await serve('peer', Uint8Array.of(1, 2), signal))
    expect(garbage).toEqual({ k: 'no', code: 'bad-request' })
    const body = encodeRequest(helloTo(DATASET))
    const all = await Promise.all(Array.from({ length: 100 }, () => serve('peer', body, signal)))
    const codes = all.map((bytes) => decodeResponse(bytes)).filter((r) => 'k' in r && r.k === 'no')
    expect(codes.length).toBeGreaterThan(0)
    expect(decodeResponse(await serve('peer', body, signal))).toMatchObject({ k: 'hello' })
  })
})

function helloTo(dataset: EventId): SyncRequest {
  const root = { root: new Uint8Array(32), count: 0 }
  return { k: 'hello', dataset, roots: { owner: root, pool: root } }
}
