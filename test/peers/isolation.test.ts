// The peers reach each other and nothing else.
import { beforeAll, expect, it } from 'vitest'
import { everybody, maintainer, type Peer, seeder } from './peers.ts'

/** Prints `open`, or why there is no connection. */
const CONNECT = `
  const [host, port] = process.argv.slice(1)
  const socket = require('node:net').connect(Number(port), host)
  const end = (text) => { console.info(JSON.stringify(text)); process.exit() }
  socket.setTimeout(5_000, () => end('ETIMEDOUT'))
  socket.once('connect', () => end('open'))
  socket.once('error', ({ code }) => end(code))
`

const connect = (from: Peer, host: string, port: number) =>
  from.program<string>(CONNECT, host, port)

beforeAll(() => Promise.all(everybody.map((peer) => peer.ready())))

it('no peer gets a connection to the outside', async () => {
  // Older engines give the containers a default route and drop what takes it; newer ones give none.
  const refusals = /^(ENETUNREACH|EHOSTUNREACH|ETIMEDOUT)$/
  // An address that is set aside for documentation.
  const answers = everybody.map((peer) => connect(peer, '192.0.2.1', 80))
  for (const answer of await Promise.all(answers)) expect(answer).toMatch(refusals)
})

it('a peer is reached at its libp2p port, and not at the one of its API', async () => {
  expect(await connect(seeder, 'maintainer', 4050)).toBe('open')
  expect(await connect(seeder, 'maintainer', 5050)).toBe('ECONNREFUSED')
  expect(await connect(maintainer, '127.0.0.1', 5050)).toBe('open')
})
