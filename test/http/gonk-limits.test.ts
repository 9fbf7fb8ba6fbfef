// What one client may ask of a server at once: bodies that grow in memory, and whole contents.
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { JsonBudget } from '../../src/http/json-budget.ts'
import { anObject, aWorld, base64, ok, refused, sha256Hex, type World } from './gonk-server.ts'

const MiB = 1024 * 1024

let world: World
let owner: World['owner']
let D: string

beforeAll(async () => {
  const budget = new JsonBudget({ bytesMax: 16 * MiB, shareBytesMax: 8 * MiB, waitMs: 300 })
  world = await aWorld({ budget })
  owner = world.owner
  D = await world.aDataset()
})
afterAll(() => world.server.close())

/** Says that a body comes, and sends none of it. @returns how to hang up. */
async function promiseBody(key: string, bytes: number): Promise<() => Promise<void>> {
  const { hostname, port } = new URL(world.server.url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  const lines = [
    `POST ${D}/objects HTTP/1.1`,
    `host: ${hostname}`,
    `x-api-key: ${key}`,
    'content-type: application/json',
    `content-length: ${bytes}`,
  ]
  // Answered when the head is there.
  socket.write(`${[...lines, 'expect: 100-continue'].join('\r\n')}\r\n\r\n`)
  await once(socket, 'data')
  return async () => {
    socket.destroy()
    await once(socket, 'close')
  }
}

describe('bodies', () => {
  test('of very many values, and of many levels, are refused before they are parsed', async () => {
    const many = `{"name":"a","mimetype":"a/b","object":[${'{},'.repeat(200_000)}{}]}`
    const deep = `{"name":${'['.repeat(10_000)}${']'.repeat(10_000)}}`
    for (const body of [many, deep]) {
      const answer = await owner('POST', `${D}/objects`, body)
      expect(answer).toMatchObject({ status: 413, body: { error: expect.any(String) } })
    }
  })

  test('wait for their turn, and are sent away where that takes long', async () => {
    const hangUp = await promiseBody(owner.key, 32 * MiB)
    const large = anObject('large', 'x'.repeat(MiB))
    const answer = await owner('POST', `${D}/objects`, large)
    expect(answer).toMatchObject({ status: 429, body: { error: expect.any(String) } })
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    // Others have theirs, and so have small ones.
    expect((await world.other('POST', `${D}/objects`, large)).status).toBe(200)
    expect((await owner('POST', `${D}/objects`, anObject('small', 'a bird'))).status).toBe(200)
    await hangUp()
    const again = anObject('large', 'y'.repeat(MiB))
    expect((await owner('POST', `${D}/objects`, again)).status).toBe(200)
  })

  test.each(['YQ', 'YQ=', 'YQ===', 'Y=Q=', 'YWI-', 'YWI_', 'YW I', 'YWJj\n', '====', 'YQ==YQ=='])(
    '%j is no base64',
    async (object) => {
      const answer = await owner('POST', `${D}/objects`, { name: 'a', mimetype: 'a/b', object })
      const text = "Key 'object' must be base64 in the standard alphabet, with padding."
      expect(answer).toMatchObject(refused(400, text))
    },
  )
})

describe('contents', () => {
  test('of any length come back as they were, also many at a time', async () => {
    const sizes = [0, 1, 2, 3, MiB - 1, MiB + 1, 2 * MiB + 1, 3 * MiB + 2]
    const contents = sizes.map((size) => Buffer.alloc(size, `bytes ${size} `))
    for (const [i, content] of contents.entries()) {
      const body = { name: `${i}.bin`, mimetype: 'a/b', object: base64(content) }
      const { uuid } = await ok(owner, 'POST', `${D}/objects`, body)
      const reads = [1, 2, 3].map(() => ok(owner, 'GET', `${D}/objects/${uuid}/0`))
      for (const details of await Promise.all(reads)) {
        expect(details.bytes === body.object).toBe(true)
        expect(details.object.hash).toBe(sha256Hex(content))
        expect(details.events).toHaveLength(1)
      }
    }
  })

  test('that came another way count as taken, whatever their hash is told as', async () => {
    const content = 'a bird '.repeat(300_000)
    const bytes = async function* () {
      yield Buffer.from(content)
    }
    const name = D.replace('/datasets/', '')
    const accept = false
    await world.server.node.api.upload(name, { name: 'native.txt', accept }, bytes())
    const answer = await owner('POST', `${D}/objects`, anObject('dialect.txt', content))
    expect(answer).toMatchObject({
      status: 500,
      body: { error: { ValidationError: expect.stringMatching(/^duplicate hash detected in/) } },
    })
  })
})
