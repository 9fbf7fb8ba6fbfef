// What holds for every request of the Gonk dialect, datasets and pages: with the bodies that Gonk's
// clients know.
import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { aWorld, anObject, askOf, nobody, ok, pagesOf, refused, type World } from './gonk-server.ts'

let world: World
let owner: World['owner']
let reader: World['reader']
let aDataset: World['aDataset']
let object: World['object']

beforeAll(async () => {
  world = await aWorld({ bodyBytesMax: 12 << 20 })
  ;({ owner, reader, aDataset, object } = world)
})
afterAll(() => world.server.close())

/** A path as it is, which fetch would not leave alone. @returns the status. */
function bare(path: string, headers: Record<string, string> = {}): Promise<number | undefined> {
  const { hostname: host, port } = new URL(world.server.url)
  const { promise, resolve } = Promise.withResolvers<number | undefined>()
  const options = { host, port, path, headers: { 'x-api-key': owner.key, ...headers } }
  request(options, (response) => {
    response.resume()
    resolve(response.statusCode)
  }).end()
  return promise
}

describe('what holds for every request', () => {
  test('the root greets whoever has a key', async () => {
    expect(await owner('GET', '/')).toMatchObject({ status: 200, body: { message: 'hello' } })
  })

  test('a key is needed, and must be right', async () => {
    const without = await fetch(`${world.server.url}/datasets`)
    expect([without.status, await without.json()]).toEqual([
      400,
      { error: 'Missing x-api-key header.' },
    ])
    const wrong = await askOf(world.server.url, `gk_${'x'.repeat(32)}`, 'GET', '/datasets')
    expect(wrong).toMatchObject(refused(401, 'Invalid API key.'))
    const empty = await askOf(world.server.url, '', 'GET', '/datasets')
    expect(empty).toMatchObject(refused(400, 'Missing x-api-key header.'))
  })

  test('a key stops with its user, and with a new key', async () => {
    const gone = await world.server.user('gone')
    await world.server.node.api.removeUser('gone')
    expect(await gone('GET', '/')).toMatchObject(refused(401, 'Invalid API key.'))
    const changed = await world.server.user('changed')
    const { apiKey } = await world.server.node.api.rekeyUser('changed')
    expect(await changed('GET', '/')).toMatchObject({ status: 401 })
    expect(await askOf(world.server.url, apiKey, 'GET', '/')).toMatchObject({ status: 200 })
  })

  test('readers read and change nothing', async () => {
    const D = await aDataset()
    expect(await reader('GET', `${D}/objects`)).toMatchObject({ status: 200, body: [] })
    const answer = await reader('POST', `${D}/objects`, anObject('a', 'b'))
    expect(answer).toMatchObject(refused(403, 'This key may only read.'))
    expect(await reader('PUT', `${D}/owners/other`)).toMatchObject({ status: 403 })
  })

  test('POST and PATCH take JSON only, which is checked before the key', async () => {
    const send = (headers: Record<string, string>, method = 'POST') =>
      fetch(`${world.server.url}/datasets`, {
        method,
        headers,
        body: '{"name":"d-with-parameters"}',
      })
    const plain = await send({ 'content-type': 'text/plain' })
    expect([plain.status, await plain.json()]).toEqual([
      400,
      { error: 'Endpoint only accepts JSON.' },
    ])
    const type = 'application/json; charset=utf-8'
    const answer = await send({ 'content-type': type, 'x-api-key': owner.key })
    expect([answer.status, await answer.json()]).toEqual([200, { dataset: 'd-with-parameters' }])
  })

  test('bodies that are no JSON, or null', async () => {
    for (const body of ['', '{', 'nope']) {
      const answer = await owner('POST', '/datasets', body)
      expect(answer.status).toBe(500)
      expect(answer.body.error.BadRequest).toMatch(/^400 Bad Request: /)
    }
    expect(await owner('POST', '/datasets', 'null')).toMatchObject(
      refused(500, 'Request JSON is None.'),
    )
    for (const body of ['[]', '1', '"text"', '{}']) {
      expect(await owner('POST', '/datasets', body)).toMatchObject(
        refused(400, "Missing key 'name'."),
      )
    }
  })

  test('unknown paths and methods, without a key', async () => {
    const D = await aDataset()
    const paths = ['/nothing', '/datasets/', `${D}/`, `${D}/objects/`, `${D}//objects`, '/%zz']
    for (const path of [...paths, `${D}/objects/${nobody}/x`]) {
      const answer = await askOf(world.server.url, '', 'GET', path)
      expect(answer.status).toBe(500)
      expect(answer.body.error.NotFound).toMatch(/^404 Not Found: /)
    }
    for (const [method, path] of [
      ['DELETE', '/datasets'],
      ['PATCH', `${D}/schemas/pending`],
      ['POST', `${D}/owners`],
    ] as const) {
      const answer = await askOf(world.server.url, '', method, path)
      expect(answer.status).toBe(500)
      expect(answer.body.error.MethodNotAllowed).toMatch(/^405 Method Not Allowed: /)
    }
  })

  test('HEAD and OPTIONS answer 200', async () => {
    for (const method of ['HEAD', 'OPTIONS']) {
      const headers = { 'x-api-key': owner.key }
      const { status } = await fetch(`${world.server.url}/datasets`, { method, headers })
      expect(status).toBe(200)
    }
  })

  test('datasets that are not there, on every route', async () => {
    const answer = refused(404, 'Dataset not found.')
    const gets = ['owners', 'events', 'schemas', 'schemas/schema-a', 'schemas/schema-a/0']
    const more = ['objects', 'objects/pending', `objects/${nobody}`, `objects/${nobody}/0`]
    for (const path of [...gets, ...more, 'annotations', 'schemas/pending']) {
      expect(await owner('GET', `/datasets/none/${path}`)).toMatchObject(answer)
    }
    expect(await bare('/datasets/%2e%2e/owners')).toBe(404)
    expect(await owner('PUT', `/datasets/none/events/${nobody}/accept`)).toMatchObject(answer)
    expect(await owner('DELETE', '/datasets/none/owners/other')).toMatchObject(answer)
    expect(await owner('POST', '/datasets/none/objects', anObject('a', 'b'))).toMatchObject(answer)
    expect(await owner('POST', '/datasets/none/objects', {})).toMatchObject(
      refused(400, "Missing key 'name'."),
    )
  })

  test('a body that is too large', async () => {
    const D = await aDataset()
    const answer = await owner('POST', `${D}/objects`, anObject('a', 'x'.repeat(10 << 20)))
    expect(answer).toMatchObject({ status: 413, body: { error: expect.any(String) } })
  })

  test('a name that is not this host is refused', async () => {
    const status = await bare('/datasets', { host: 'evil.example' })
    expect(status).toBe(403)
  })
})

describe('datasets', () => {
  test('names that are refused', async () => {
    const D = await aDataset()
    const taken = D.replace('/datasets/', '')
    for (const [name, error] of [
      ['', 'Dataset name is empty.'],
      ['a b', 'Only letters, numbers, and dashes (-) allowed.'],
      ['ä', 'Only letters, numbers, and dashes (-) allowed.'],
      ['..', 'Only letters, numbers, and dashes (-) allowed.'],
      ['-a', 'Names may not start with a dash.'],
      [taken, 'Dataset already exists.'],
    ]) {
      expect(await owner('POST', '/datasets', { name })).toMatchObject(refused(400, error))
    }
    expect(await owner('POST', '/datasets', { name: 'x'.repeat(300) })).toMatchObject({
      status: 400,
    })
    expect(await owner('POST', '/datasets', { name: 7 })).toMatchObject({ status: 400 })
  })

  test('one of two that are made at once under one name', async () => {
    const both = await Promise.all([1, 2].map(() => owner('POST', '/datasets', { name: 'twice' })))
    expect(both.map(({ status }) => status).sort()).toEqual([200, 400])
  })
})

describe('pages', () => {
  test('of objects: each once, in order, with all of its versions', async () => {
    const D = await aDataset()
    const uuids: string[] = []
    for (let n = 0; n < 27; n++) uuids.push(await object(D, `bird-${n}`))
    await ok(owner, 'PATCH', `${D}/objects/${uuids[24]}`, anObject('new', 'new'))
    const expected = uuids.map((uuid, i) => ({ uuid, versions: i === 24 ? 2 : 1 }))
    const found = await pagesOf(owner, `${D}/objects`)
    expect(found.map((page) => page.length)).toEqual([25, 2])
    expect(found.flat()).toEqual(expected)
    // As Gonk's clients do it: with the last uuid of the page before.
    const second = await ok(owner, 'GET', `${D}/objects?after=${uuids[24]}`)
    expect(second).toEqual(expected.slice(25))
    expect(await ok(owner, 'GET', `${D}/objects?after=${nobody}`)).toEqual([])
    expect(await owner('GET', `${D}/objects?after=nope`)).toMatchObject({ status: 500 })
    const events = await pagesOf(owner, `${D}/events`)
    expect(events.map((page) => page.length)).toEqual([25, 4])
  })

  test('of a status: also where one object has more versions than a page', async () => {
    const D = await aDataset()
    const uuid = await object(D, 'a', 'version 0')
    for (let n = 1; n < 30; n++) {
      await ok(owner, 'PATCH', `${D}/objects/${uuid}`, anObject('a', `version ${n}`))
    }
    const found = await pagesOf(owner, `${D}/objects/pending`)
    expect(found.map((page) => page.length)).toEqual([25, 5])
    const versions = [...Array(30).keys()].map((version) => ({ uuid, version }))
    expect(found.flat()).toEqual(versions)
    const after = await ok(owner, 'GET', `${D}/objects/pending?after=${uuid}`)
    expect(after[0]).toEqual({ uuid, version: 1 })
  })
})
