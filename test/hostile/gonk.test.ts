// T45: clients of Gonk are told of what strangers propose in one line, which cannot forget; it is told
// anew when most of what it was about has been pushed out of the pool.
import { expect, test } from 'vitest'
import { listEvents } from '../../src/api/gonk/reading.ts'
import { View } from '../../src/api/gonk/view.ts'
import { signatureBytes } from '../../src/api/gonk/integrity.ts'
import { openUsers } from '../../src/users/user-store.ts'
import { nodeCrypto, sha256, systemClock, systemRandom } from '../../src/crypto.ts'
import { hexOf } from '../../src/core/ids.ts'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger } from '../api/make-node.ts'
import { reviewOf } from '../replica/subject.ts'
import { aProposal, owner, PoolSubject } from './pool-subject.ts'

const POOL_BYTES_MAX = 128 * 1024

test('T45: the line of Gonk does not grow with what strangers pushed out', async () => {
  const subject = await PoolSubject.open(POOL_BYTES_MAX)
  const dir = await mkdtemp(join(tmpdir(), 'gonk-test-'))
  const logger = silentLogger
  const users = await openUsers(dir, { clock: systemClock, random: systemRandom, logger })
  const view = new View({ crypto: nodeCrypto(), users, clock: systemClock }, subject.replica)
  const proposal = await subject.replica.propose(owner, aProposal('owner').operations)
  await subject.replica.act(owner, reviewOf('accept', proposal))
  let most = 0
  let sent = 0
  let isAnew = 0
  let last = 0
  for (let round = 0; round < 60; round++) {
    for (let i = 0; i < 4; i++) {
      const flood = Array.from({ length: 20 }, () => aProposal(`sybil ${sent++}`))
      subject.nowMs += 5_000
      await subject.told(`peer ${i}`, ...flood)
    }
    await view.catchUp()
    const { seq } = await subject.log.gonk.tail()
    if (seq < last) isAnew++
    last = seq
    most = Math.max(most, seq)
  }
  expect(sent).toBe(4_800)
  expect(isAnew).toBeGreaterThan(0)
  expect(most).toBeLessThan(0.6 * sent)
  // The chain is whole, from the first event to the last.
  let integrity = ''
  let after: Parameters<typeof listEvents>[1]
  let told = 0
  do {
    const page = await listEvents(view, after)
    for (const event of page.items) {
      const bytes = Buffer.concat([Buffer.from(integrity, 'hex'), signatureBytes(event)])
      integrity = hexOf(sha256(bytes))
      expect(event.integrity).toBe(integrity)
      told++
    }
    after = page.next?.after
  } while (after !== undefined)
  expect(told).toBe(last)
  await rm(dir, { recursive: true, force: true })
})
