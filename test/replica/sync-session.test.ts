import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GonkError, isRejection } from '../../src/core/errors.ts'
import type { EventId } from '../../src/core/ids.ts'
import type { SetNode, SetView } from '../../src/core/reconcile.ts'
import {
  decodeRequest,
  decodeResponse,
  encodeResponse,
  type SyncResponse,
} from '../../src/replica/sync-messages.ts'
import type { SyncSource } from '../../src/replica/sync-server.ts'
import type { SessionResult } from '../../src/replica/sync-session.ts'
import { DATASET, history, makeEvent, pull, type TestEvent, World } from './sync-world.ts'

const bytesOf = ({ traffic }: SessionResult) => traffic.sentBytes + traffic.receivedBytes

function ownerEvents(count: number, label: string): TestEvent[] {
  return Array.from({ length: count }, (_, i) =>
    makeEvent(`${label} ${i}`, { depth: 1, parents: [DATASET], sizeBytes: 200 }),
  )
}

function proposals(count: number, label: string, sizeBytes = 200): TestEvent[] {
  return Array.from({ length: count }, (_, i) => makeEvent(`${label} ${i}`, { sizeBytes }))
}

function world(...events: (TestEvent | readonly TestEvent[])[]): World {
  return new World().put(makeEvent('genesis', { depth: 0 }), ...events)
}

describe('T37: a session over 100,000 events', () => {
  const shared = ownerEvents(100_000, 'shared')
  const client = world(shared)
  const server = world(shared)

  it('costs one round trip and 2 KiB at most when nothing is missing', async () => {
    const result = await pull(client, server)
    expect(result).toMatchObject({ end: 'equal', stored: 0 })
    expect(result.traffic.roundTrips).toBe(1)
    expect(bytesOf(result)).toBeLessThan(2 * 1024)
  })

  it('finds 10 missing in 4 round trips and 64 KiB at most, on one side', async () => {
    server.put(ownerEvents(10, 'one side'))
    const result = await pull(client, server)
    expect(result).toMatchObject({ end: 'equal', stored: 10 })
    expect(result.traffic.roundTrips).toBeLessThanOrEqual(4)
    expect(bytesOf(result)).toBeLessThan(64 * 1024)
  })

  it('finds 10 missing on both sides, each side by its own session', async () => {
    server.put(ownerEvents(10, 'left'))
    client.put(ownerEvents(10, 'right'))
    const there = await pull(client, server)
    const back = await pull(server, client)
    expect(there).toMatchObject({ end: 'ahead', stored: 10 })
    expect(back).toMatchObject({ end: 'equal', stored: 10 })
    for (const result of [there, back]) {
      expect(result.traffic.roundTrips).toBeLessThanOrEqual(4)
      expect(bytesOf(result)).toBeLessThan(64 * 1024)
    }
  })

  it('finds 10 missing proposals just as cheaply', async () => {
    const pending = proposals(5_000, 'pending')
    client.put(pending)
    server.put(pending, proposals(10, 'new'))
    const result = await pull(client, server)
    expect(result).toMatchObject({ end: 'equal', stored: 10 })
    expect(result.traffic.roundTrips).toBeLessThanOrEqual(4)
    expect(bytesOf(result)).toBeLessThan(64 * 1024)
  })

  it('costs at most twice the missing events when a thousand are missing', async () => {
    const missing = ownerEvents(1_000, 'thousand')
    server.put(missing)
    client.put(ownerEvents(1_000, 'other thousand'))
    const result = await pull(client, server)
    expect(result).toMatchObject({ end: 'ahead', stored: 1_000 })
    const size = missing.reduce((sum, { block }) => sum + block.length, 0)
    expect(bytesOf(result)).toBeLessThan(2 * size + 256 * 1024)
  })
})

describe('a session', () => {
  it('leaves both sides equal once each has pulled, whatever they held', async () => {
    const part = fc.array(fc.nat(149), { maxLength: 80 })
    const line = history(60, { reviewed: 2, sizeBytes: 20 })
    const loose = [...ownerEvents(150, 'loose'), ...proposals(150, 'pool')]
    await fc.assert(
      fc.asyncProperty(fc.nat(60), fc.nat(60), part, part, async (a, b, some, others) => {
        const worldOf = (length: number, picks: number[]) => {
          const own = new World()
          own.put(line.slice(0, 1 + 3 * length))
          const picked = [...new Set(picks)].flatMap((i) => [loose[i], loose[150 + i]])
          return own.put(picked as TestEvent[])
        }
        const [left, right] = [worldOf(a, some), worldOf(b, others)]
        const before = new Set([...left.events.keys(), ...right.events.keys()])
        const missing = [before.size - left.events.size, before.size - right.events.size]
        const there = await pull(left, right)
        const back = await pull(right, left)
        expect([there.stored, back.stored]).toEqual(missing)
        expect(['equal', 'ahead']).toContain(there.end)
        expect(back.end).toBe('equal')
        expect(left.owner.root).toEqual(right.owner.root)
        expect(left.pool.root).toEqual(right.pool.root)
        expect(bytesOf(there)).toBeLessThan(24 * 1024 + 2_000 * there.stored)
      }),
      { numRuns: 60 },
    )
  })

  it('leaves proposals for later when its turn is over, and owner events never', async () => {
    const server = world(ownerEvents(600, 'owner'), proposals(8_000, 'pending'))
    const client = world()
    const sessions: number[] = []
    for (let end = ''; end !== 'equal';) {
      const result = await pull(client, server, { isTurnOver: () => true })
      expect(['partial', 'equal']).toContain(result.end)
      expect(result.stored).toBeGreaterThan(0)
      expect(client.owner.root).toEqual(server.owner.root)
      sessions.push(result.stored)
      end = result.end
    }
    expect(sessions.length).toBeGreaterThan(1)
  })

  it('begins anew when nodes of its own pool are gone meanwhile, and blames nobody', async () => {
    const client = world(proposals(3_000, 'here'))
    const server = world(proposals(3_000, 'there'))
    const { owner, pool } = client
    let lost = 2
    const subtree: SetView['subtree'] = async (prefix) => {
      if (lost-- > 0) throw new GonkError('NOT_HERE', 'a trie node is not here')
      return pool.subtree(prefix)
    }
    client.sets = async () => {
      const { root, count } = pool
      return { owner, pool: { root, count, subtree } }
    }
    const result = await pull(client, server)
    expect(result).toMatchObject({ end: 'ahead', stored: 3_000 })
    expect(lost).toBeLessThan(0)
  })

  it('clones a whole dataset from the log, in pages, parents first', async () => {
    const server = new World().put(history(2_000, { reviewed: 2, sizeBytes: 400 }))
    server.put(proposals(50, 'pending'))
    const client = new World()
    const result = await pull(client, server)
    expect(result).toMatchObject({ end: 'equal', stored: server.events.size })
    expect(client.submitted).toBe(server.events.size)
    expect(result.traffic.roundTrips).toBeLessThan(12)
  })

  it('goes on with a clone that was interrupted, without starting over', async () => {
    const events = history(8_000, { reviewed: 1, sizeBytes: 150 })
    const server = new World().put(events)
    const client = new World()
    let sessions = 0
    for (let end = ''; end !== 'equal'; sessions++) {
      const stop = new AbortController()
      const limit = client.events.size + 4_000
      const onStored = () => {
        if (client.events.size >= limit) stop.abort()
      }
      const result = await pull(client, server, { onStored, signal: stop.signal })
      expect(['cancelled', 'equal']).toContain(result.end)
      end = result.end
    }
    expect(sessions).toBeGreaterThan(2)
    expect(client.submitted).toBeLessThan(server.events.size * 1.3)
  })

  it('heals a long partition in which both sides wrote deep lines', async () => {
    const common = history(500, { sizeBytes: 100 })
    const branch = (name: string, length: number) => {
      let parent = common.at(-1)?.id as EventId
      return Array.from({ length }, (_, i) => {
        const event = makeEvent(`${name} ${i}`, { depth: 501 + i, parents: [parent] })
        parent = event.id
        return event
      })
    }
    const left = new World().put(common, branch('left', 9_000))
    const right = new World().put(common, branch('right', 1_000))
    expect(await pull(right, left)).toMatchObject({ end: 'ahead', stored: 9_000 })
    const back = await pull(left, right)
    expect(back).toMatchObject({ end: 'equal', stored: 1_000 })
    expect(bytesOf(back)).toBeLessThan(1024 * 1024)
  })

  it('does not fetch proposals again that are here and were only named since', async () => {
    const named = proposals(20, 'named', 100_000)
    const review = makeEvent('review', {
      depth: 1,
      parents: [DATASET],
      names: named.map(({ id }) => id),
    })
    const client = world(named)
    const result = await pull(client, world(named, review))
    expect(result).toMatchObject({ end: 'equal', stored: 1 })
    expect(bytesOf(result)).toBeLessThan(128 * 1024 + 20 * 1024)
  })

  it('stops asking for proposals when there is no room, and says so', async () => {
    const client = new World({ poolMax: 100 }).put(makeEvent('genesis', { depth: 0 }))
    const server = world(proposals(50_000, 'flood'), ownerEvents(20, 'work'))
    const result = await pull(client, server)
    expect(result.end).toBe('over-quota')
    expect(client.owner.root).toEqual(server.owner.root)
    expect(client.pool.count).toBe(100)
    expect(bytesOf(result)).toBeLessThan(6 * 1024 * 1024)
  })

  it('ends after hello when a session over the same roots has ended before', async () => {
    const server = world(ownerEvents(5, 'a'))
    const result = await pull(world(), server, { isSettled: () => true })
    expect(result).toMatchObject({ end: 'settled', stored: 0 })
    expect(result.traffic.roundTrips).toBe(1)
  })

  it('ends as unreachable when a request fails, keeping what it stored', async () => {
    const client = world()
    let requests = 0
    const lie = (answer: Uint8Array) => {
      if (++requests === 3) throw new Error('connection reset')
      return answer
    }
    const server = new World().put(history(12_000, { sizeBytes: 100 }))
    const result = await pull(client, server, { lie })
    expect(result).toMatchObject({ end: 'unreachable', what: 'connection reset' })
    expect(result.stored).toBe(client.events.size - 1)
    expect(result.stored).toBeGreaterThan(0)
  })
})

describe('T43: a lying peer', () => {
  const honest = world(ownerEvents(3_000, 'shared'), proposals(100, 'pool'))
  const client = () => world(ownerEvents(2_990, 'shared'))

  /** Changes what the peer answers to one kind of request. */
  function lying(
    kind: SyncResponse['k'] | 'any',
    change: (response: SyncResponse) => SyncResponse | Uint8Array,
  ) {
    return (answer: Uint8Array, body: Uint8Array) => {
      const request = decodeRequest(body)
      const width = !isRejection(request) && 'width' in request ? request.width : 8
      const response = decodeResponse(answer, width)
      if (isRejection(response) || (kind !== 'any' && response.k !== kind)) return answer
      const changed = change(response)
      return changed instanceof Uint8Array ? changed : encodeResponse(changed, width)
    }
  }

  it('that advertises what it does not send is named for absent events', async () => {
    const result = await pull(client(), honest, {
      lie: lying('any', (response) =>
        'events' in response ? { ...response, events: [] } : response,
      ),
    })
    expect(result).toMatchObject({ end: 'peer-fault', fault: 'absent-events', stored: 0 })
    expect(result.traffic.roundTrips).toBeLessThan(12)
  })

  it('that sends what was not asked for is named for it', async () => {
    const { block } = makeEvent('unasked', { depth: 1, parents: [DATASET] })
    const result = await pull(client(), honest, {
      lie: lying('diff', (response) => ({ ...response, events: [block] }) as SyncResponse),
    })
    expect(result).toMatchObject({ end: 'peer-fault', fault: 'unasked', stored: 0 })
  })

  it('that sends invalid events in the log is named for them', async () => {
    const result = await pull(new World(), honest, {
      lie: lying(
        'log',
        (response) => ({ ...response, events: [Uint8Array.of(9)] }) as SyncResponse,
      ),
    })
    expect(result).toMatchObject({ end: 'peer-fault', fault: 'invalid-event' })
  })

  it('that sends garbage is named as malformed', async () => {
    const result = await pull(client(), honest, { lie: () => Uint8Array.of(0xff, 1, 2) })
    expect(result).toMatchObject({ end: 'peer-fault', fault: 'malformed' })
  })

  it('whose log leaves out parents does not keep the rest from being found', async () => {
    const server = new World().put(history(3_000))
    const lie = lying('log', (response) => {
      const { events } = response as Extract<SyncResponse, { k: 'log' }>
      return { ...response, events: events.filter((_, i) => i !== 1) } as SyncResponse
    })
    const result = await pull(new World(), server, { lie })
    expect(result).toMatchObject({ end: 'equal', stored: 3_001 })
  })

  it('that holds back one parent everywhere is named for an incomplete history', async () => {
    const events = history(300)
    const hidden = events[100] as TestEvent
    const server = new World().put(events)
    const source: SyncSource = {
      depths: (ids) => server.depths(ids),
      sets: () => server.sets(),
      blocks: async (ids) =>
        (await server.blocks(ids)).map((block, i) => (ids[i] === hidden.id ? undefined : block)),
      log: (from) => server.log(from),
    }
    const client = new World().put(events.slice(0, 50))
    const result = await pull(client, source)
    expect(result).toMatchObject({ end: 'peer-fault', stored: 50 })
    expect(['absent-events', 'incomplete-history']).toContain(result.fault)
    expect(result.traffic.roundTrips).toBeLessThan(40)
  })

  it('whose hashes always differ gets a bounded number of questions', async () => {
    const own = client()
    let salt = 0
    const twisted = (node: SetNode): SetNode => ({
      ...node,
      ...(node.children && {
        children: node.children.map((child) => child && new Uint8Array(32).fill(++salt)),
      }),
    })
    const source: SyncSource = {
      blocks: (ids) => own.blocks(ids),
      depths: (ids) => own.depths(ids),
      log: (from) => own.log(from),
      sets: async () => {
        const { owner, pool } = await own.sets()
        const root = new Uint8Array(32).fill(++salt)
        const subtree = async (prefix: string) => twisted(await owner.subtree(prefix))
        return { owner: { root, count: owner.count, subtree }, pool }
      },
    }
    const result = await pull(own, source)
    expect(result).toMatchObject({ end: 'peer-fault', fault: 'no-progress', stored: 0 })
    expect(result.traffic.roundTrips).toBeLessThan(300)
  })

  it('with a false root over true hashes is named as inconsistent', async () => {
    const own = client()
    const source: SyncSource = {
      blocks: (ids) => own.blocks(ids),
      depths: (ids) => own.depths(ids),
      log: (from) => own.log(from),
      sets: async () => {
        const { owner, pool } = await own.sets()
        const subtree = (prefix: string) => owner.subtree(prefix)
        return { owner: { root: new Uint8Array(32).fill(9), count: owner.count, subtree }, pool }
      },
    }
    const result = await pull(own, source)
    expect(result).toMatchObject({ end: 'peer-fault', fault: 'inconsistent-hashes' })
    expect(result.traffic.roundTrips).toBeLessThan(6)
  })

  it('that repeats one page of the log for ever is stopped', async () => {
    let depth = 0
    const events = [makeEvent('genesis', { depth: 0 }).block]
    const result = await pull(new World(), honest, {
      lie: lying('log', (response) => {
        const next = { depth: ++depth, id: '' as const, skip: 0 }
        return { ...response, events, next } as SyncResponse
      }),
    })
    expect(result).toMatchObject({ end: 'peer-fault', fault: 'no-progress' })
    expect(result.traffic.roundTrips).toBeLessThan(300)
  })

  it('that does not know the dataset ends the session with that code', async () => {
    const result = await pull(client(), honest, {
      lie: () => encodeResponse({ k: 'no', code: 'unknown-dataset' }),
    })
    expect(result).toMatchObject({ end: 'refused', refusal: 'unknown-dataset' })
  })
})

describe('a node that cannot take in everything', () => {
  const genesis = makeEvent('genesis', { depth: 0 })

  it('still gets the proposals that owners name when its pool is full', async () => {
    const named = proposals(30, 'named', 200_000)
    const review = makeEvent('review', {
      depth: 1,
      parents: [DATASET],
      names: named.map(({ id }) => id),
    })
    const server = world(review, named, proposals(3, 'pending'))
    const client = new World({ poolMax: 0 }).put(genesis)
    expect(await pull(client, server)).toMatchObject({ end: 'over-quota' })
    expect(client.owner.root).toEqual(server.owner.root)
  })

  it('blames no peer for events of a later version, nor for what builds on them', async () => {
    const known = makeEvent('known', { depth: 1, parents: [DATASET] })
    const later = makeEvent('later', { depth: 2, parents: [known.id] })
    const child = makeEvent('child', { depth: 3, parents: [later.id] })
    for (const width of [0, 300]) {
      const server = world(known, later, child, ownerEvents(width, 'more'))
      const client = new World().put(genesis)
      const { submit } = client
      client.submit = async (blocks) => {
        const rest = blocks.filter((block) => !later.block.every((byte, i) => byte === block[i]))
        const submitted = await submit(rest)
        if (rest.length === blocks.length) return submitted
        const refusal = { refused: 'unknown-tenure' as const, what: 'later' }
        return { ...submitted, refused: [...submitted.refused, refusal] }
      }
      const result = await pull(client, server)
      expect(result).toMatchObject({ end: 'newer', stored: width + 1 })
      expect(result.traffic.roundTrips).toBeLessThan(20)
    }
  })
})
