// A peer that is cut off goes on by itself, and all agree when the cable is back.
import { beforeAll, expect, it, onTestFinished } from 'vitest'
import type { AddResult, VerifyResult } from '../../src/contract/api.ts'
import { until } from '../node/daemon.ts'
import {
  contributorA,
  contributorB,
  everybody,
  maintainer,
  type Peer,
  sameRoot,
  seeder,
} from './peers.ts'

/** Longer than a connection may stay silent before the daemon ends it. */
const NOTICED_MS = 60_000
/** The longest pause between two dials of a named peer, and some. */
const REACHED_MS = 75_000

beforeAll(() => Promise.all(everybody.map((peer) => peer.ready())))

async function propose(peer: Peer, folder: string, count: number): Promise<string[]> {
  const files = await peer.makeFiles(folder, count, 40_000)
  return (await peer.gonk<AddResult>('add', 'cut', files)).events.slice()
}

it('a contributor that is cut off meets the others again with what it proposed', async () => {
  await maintainer.gonk('dataset', 'create', 'cut')
  const first = await maintainer.makeFiles('cut-first', 3, 40_000)
  await maintainer.gonk('add', 'cut', first, '--accept')
  const root = await maintainer.root('cut')
  const address = await maintainer.address()
  await contributorA.gonk('clone', root, '--peer', address)
  await seeder.gonk('clone', root, '--peer', address)
  await contributorB.gonk('clone', root, '--peer', await seeder.address())
  const [idA, idM] = [await contributorA.peerId(), await maintainer.peerId()]

  await contributorA.cutOff()
  let isCut = true
  onTestFinished(() => (isCut ? contributorA.heal() : undefined))
  const proposals = [
    ...(await propose(contributorA, 'cut-proposed', 12)),
    ...(await propose(contributorA, 'cut-more', 5)),
  ]
  const accepted = await maintainer.makeFiles('cut-accepted', 8, 40_000)
  await maintainer.gonk('add', 'cut', accepted, '--accept')
  expect(await sameRoot('cut', [maintainer, seeder, contributorB])).not.toBe(root)
  expect(await contributorA.root('cut')).toBe(root)
  const gone = async (peer: Peer, id: string) => !(await peer.connected()).includes(id)
  await until('A notices', () => gone(contributorA, idM), NOTICED_MS)
  await until('the maintainer notices', () => gone(maintainer, idA), NOTICED_MS)

  await contributorA.heal()
  isCut = false
  const healedAtMs = Date.now()
  await sameRoot('cut', everybody, REACHED_MS)
  for (const peer of everybody) {
    await until(`${peer.name} sees what was proposed`, async () => {
      const pending = await peer.pending('cut')
      return proposals.every((event) => pending.includes(event))
    })
  }
  process.stdout.write(`all met again ${Date.now() - healedAtMs} ms after the cable was back\n`)

  await maintainer.gonk('review', 'accept', 'cut', ...proposals)
  await sameRoot('cut', everybody)
  for (const peer of everybody) {
    const hasFiles = async () => (await peer.missingFiles('cut')) === 0
    await until(`${peer.name} has the files`, hasFiles)
    expect((await peer.gonk<{ objects: unknown[] }>('ls', 'cut')).objects).toHaveLength(28)
  }
  expect(await contributorA.gonk<VerifyResult>('verify', 'cut')).toMatchObject({ ok: true })
})
