// The Gonk dialect of real daemons: annotated on one node, reviewed on another, seen on the first.
import { expect, it } from 'vitest'
import type { UserWithKey } from '../../src/contract/api.ts'
import { annotating, anObject, askOf, base64, draft04, ok } from '../http/gonk-server.ts'
import { aWorld, until } from './daemon.ts'

it('shows what another node decided, on an address of its own and below /gonk', async () => {
  const [a, b] = (await aWorld()).nodes('A', 'B')
  await a.json('init')
  const { apiKey } = await a.json<UserWithKey>('users', 'add', 'alice')
  const { ready } = await a.start(['--gonk', '127.0.0.1:0'])
  expect(ready.gonk).toMatch(/^127\.0\.0\.1:\d+$/)
  const alice = (method: string, path: string, body?: unknown) =>
    askOf(`http://${ready.gonk}`, apiKey, method, path, body)
  await ok(alice, 'POST', '/datasets', { name: 'birds' })
  const D = '/datasets/birds'
  await ok(alice, 'POST', `${D}/schemas`, { name: 'schema-birds', schema: base64(draft04) })
  const { uuid } = await ok(alice, 'POST', `${D}/objects`, anObject('bird.txt', 'a bird'))
  const events = await ok(alice, 'GET', `${D}/events`)
  await ok(alice, 'PUT', `${D}/events/${events[1].uuid}/accept`)
  await ok(alice, 'PUT', `${D}/events/${events[2].uuid}/accept`)

  await b.start()
  const { publicKey } = await b.api.status()
  await ok(alice, 'PUT', `${D}/owners/${publicKey}`)
  const { root } = await a.api.root('birds')
  await b.json('clone', root, '--peer', a.address)
  const made = await ok(alice, 'POST', `${D}/annotations`, annotating([{ uuid, version: 0 }]))
  expect(await ok(alice, 'GET', `${D}/annotations/accepted`)).toEqual([])
  await until('the annotation reaches B', async () => {
    return (await b.api.listReviews('birds', { status: 'pending' })).length === 1
  })
  await b.json('review', 'accept', 'birds', '--all')
  await until('A sees it accepted', async () => {
    return (await ok(alice, 'GET', `${D}/annotations/accepted`)).length === 1
  })
  const below = (path: string) => askOf(`${ready.url}/gonk`, apiKey, 'GET', path)
  expect(await below(`${D}/annotations/accepted`)).toMatchObject({
    status: 200,
    body: [{ uuid: made.uuid, version: 0 }],
  })
  expect(await below('/')).toMatchObject({ status: 200, body: { message: 'hello' } })
  expect(await below('/nothing')).toMatchObject({ status: 500 })
  const last = (await ok(alice, 'GET', `${D}/events`)).at(-1)
  expect(last).toMatchObject({ type: 'ReviewAcceptEvent', author: publicKey })
})

it('does not start with two doors on one address', async () => {
  const [a] = (await aWorld()).nodes('A')
  const both = ['--http', '127.0.0.1:50599', '--gonk', '127.0.0.1:50599']
  const { status, stdout } = await a.run('start', ...both)
  expect(status).toBe(2)
  expect(stdout).toContain('--http and --gonk both want 127.0.0.1:50599')
})
