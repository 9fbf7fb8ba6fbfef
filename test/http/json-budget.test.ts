import { connect } from 'node:net'
import { once } from 'node:events'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkJson } from '../../src/http/body.ts'
import { JsonBudget } from '../../src/http/json-budget.ts'
import { fakeNodeApi } from './fake-node-api.ts'
import { authorization, listening, serverOf } from './serve.ts'

const MiB = 1024 * 1024
const path = '/api/v1/datasets/cells/annotations'

const outcomeOf = (text: string, valuesMax: number, depthMax = 128) => {
  try {
    checkJson(Buffer.from(text), { valuesMax, depthMax })
    return 'taken'
  } catch (error) {
    return (error as { code: string }).code
  }
}

/** Values of arrays and members of objects, at any depth. */
function countOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const inner = Object.values(value)
  return inner.length + inner.reduce((sum: number, one) => sum + countOf(one), 0)
}

describe('a look at JSON text before it is parsed', () => {
  it('finds at least as many values as there are, and at most one more for each bracket', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value)
        const values = countOf(value)
        const brackets = text.replaceAll(/[^[{]/g, '').length
        if (values > 0) expect(outcomeOf(text, values - 1)).toBe('TOO_LARGE')
        expect(outcomeOf(text, values + brackets)).toBe('taken')
      }),
    )
  })

  it('takes no notice of what is inside strings', () => {
    const text = JSON.stringify({ text: '[{,]\\",,,,[[[['.repeat(1_000) })
    expect(outcomeOf(text, 1, 1)).toBe('taken')
  })

  it('refuses a body full of values without parsing it', async () => {
    const payload = `{"annotations":[${'{},'.repeat(300_000)}`
    const headers = { authorization, 'content-type': 'application/json' }
    const response = await serverOf(fakeNodeApi()).inject({
      method: 'POST',
      url: path,
      headers,
      payload,
    })
    // The parser would say that it is no JSON.
    expect(response.json()).toMatchObject({ code: 'TOO_LARGE', status: 413 })
    expect(response.json().hint).toContain('text')
  })
})

describe('the budget of JSON bodies', () => {
  const options = { bytesMax: 10 * MiB, shareBytesMax: 5 * MiB, waitMs: 60_000 }

  it('lets each have its share, and all together no more than there is', async () => {
    const budget = new JsonBudget(options)
    const began: string[] = []
    const take = (id: string) =>
      budget.take(id, 4 * MiB).then((giveBack) => {
        began.push(id)
        return giveBack
      })
    const [a1, a2, b, c] = [take('a'), take('a'), take('b'), take('c')]
    const giveBackA = await a1
    await b
    expect(began).toEqual(['a', 'b'])
    giveBackA()
    giveBackA()
    ;(await a2)()
    await c
    expect(began).toEqual(['a', 'b', 'a', 'c'])
  })

  it('lets everyday requests pass large ones, which leave some room for them', async () => {
    const budget = new JsonBudget({ ...options, shareBytesMax: 100 * MiB })
    const large = await budget.take('a', 9 * MiB)
    const second = budget.take('a', 9 * MiB)
    const small = await budget.take('a', 1_000)
    small()
    large()
    ;(await second)()
  })

  it('gives all of a share to what is larger, and back when it ends', async () => {
    const budget = new JsonBudget(options)
    for (let i = 0; i < 3; i++) (await budget.take('a', 50 * MiB))()
    await budget.take('a', 5 * MiB)
  })

  it('is TOO_MANY for those who would wait too long or among too many', async () => {
    const budget = new JsonBudget({ ...options, waitMs: 1, waitingMax: 2, waitingShareMax: 1 })
    await budget.take('a', 4 * MiB)
    const waits = budget.take('a', 4 * MiB)
    await expect(budget.take('a', 4 * MiB)).rejects.toMatchObject({ code: 'TOO_MANY' })
    await expect(waits).rejects.toMatchObject({ code: 'TOO_MANY' })
  })

  it('keeps no place for those who have gone', async () => {
    const budget = new JsonBudget(options)
    const first = await budget.take('a', 4 * MiB)
    const gone = new AbortController()
    const waits = budget.take('a', 4 * MiB, gone.signal)
    gone.abort()
    await expect(waits).rejects.toMatchObject({ code: 'CANCELLED' })
    await expect(budget.take('a', 4 * MiB, gone.signal)).rejects.toMatchObject({
      code: 'CANCELLED',
    })
    const last = budget.take('a', 4 * MiB)
    first()
    ;(await last)()
  })

  it('never has more under way than it may, in whatever order they come and go', async () => {
    const step = fc.record({ id: fc.constantFrom('a', 'b', 'c'), bytes: fc.nat(4.5 * MiB) })
    const check = async (steps: { id: string; bytes: number }[], picks: number[]) => {
      const budget = new JsonBudget(options)
      const open: { id: string; bytes: number; giveBack: () => void }[] = []
      const all = steps.map(async ({ id, bytes }) => {
        const giveBack = await budget.take(id, bytes)
        open.push({ id, bytes, giveBack })
        const sum = (list: typeof open) => list.reduce((total, one) => total + one.bytes, 0)
        expect(sum(open)).toBeLessThanOrEqual(options.bytesMax)
        expect(sum(open.filter((one) => one.id === id))).toBeLessThanOrEqual(options.shareBytesMax)
      })
      for (let ended = 0, i = 0; ended < steps.length; i++) {
        await new Promise((resolve) => setImmediate(resolve))
        const [one] = open.splice((picks[i % picks.length] ?? 0) % open.length, 1)
        one?.giveBack()
        ended++
      }
      await Promise.all(all)
    }
    const numbers = fc.array(fc.nat(100), { minLength: 1 })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 20 }), numbers, check),
    )
  })
})

describe('a JSON body', () => {
  const headers = { authorization, 'content-type': 'application/json' }

  /** Sends a head and nothing of its body. */
  async function headOf(url: string, length: number) {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.on('error', () => undefined)
    const head = [
      `POST ${path} HTTP/1.1`,
      'Host: localhost',
      `Authorization: ${authorization}`,
      'Content-Type: application/json',
      `Content-Length: ${length}`,
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n`)
    await once(socket, 'connect')
    return socket
  }

  it('that is announced as too large is refused before any of it is sent', async () => {
    const socket = await headOf(await listening(fakeNodeApi()), 18 * MiB)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    expect(String(answer)).toMatch(/^HTTP\/1\.1 413 /)
    socket.destroy()
  })

  it('waits for its turn, and is answered 429 where too many do', async () => {
    const budget = { bytesMax: MiB, shareBytesMax: MiB, waitingShareMax: 1 }
    const url = await listening(fakeNodeApi(), { budget })
    const slow = await headOf(url, 900_000)
    const waits = await headOf(url, 900_000)
    const payload = JSON.stringify({ annotations: [], pad: 'x'.repeat(900_000) })
    const send = () => fetch(url + path, { method: 'POST', headers, body: payload })
    let refused = await send()
    // Both may be on their way still.
    while (refused.status !== 429) refused = await send()
    expect(refused.headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
    expect(await refused.json()).toMatchObject({ code: 'TOO_MANY', status: 429 })
    const small = await fetch(url + path, { method: 'POST', headers, body: '{"annotations":[]}' })
    expect(small.status).not.toBe(429)
    slow.destroy()
    waits.destroy()
    await expect.poll(async () => (await send()).status).toBe(400)
  })
})
