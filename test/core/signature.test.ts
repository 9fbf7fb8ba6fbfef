// T29: one verdict on every edge case, from node:crypto and @noble/ed25519, on the main thread and
// in a worker. The vectors are in test/fixtures/ed25519.json, made by scripts/make-fixtures.ts.
import { readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { Point, verify } from '@noble/ed25519'
import { expect, test } from 'vitest'
import { bytesOfHex, hexOf } from '../../src/core/ids.ts'
import { passesPreCheck, verifySignature } from '../../src/core/signature.ts'
import {
  equationOverPoints,
  signatureVectors,
  type SignatureVector,
} from '../fixtures/signature-vectors.ts'
import { nodeEquation, signerNamed } from '../signing.ts'

const vectors = JSON.parse(
  readFileSync(new URL('../fixtures/ed25519.json', import.meta.url), 'utf8'),
) as SignatureVector[]

const parts = ({ key, message, signature }: SignatureVector) =>
  [bytesOfHex(key), bytesOfHex(message), bytesOfHex(signature)] as const

const accepted = (verdict: (vector: SignatureVector) => boolean) =>
  vectors.filter(verdict).map(({ comment }) => comment)
const expected = accepted((vector) => vector.accepted)

test('T29: the vectors on disk are the ones their maker makes', () => {
  expect(signatureVectors()).toEqual(vectors)
  expect(vectors.length).toBeGreaterThan(290)
})

test('T29: the rule gives every vector its verdict', () => {
  expect(accepted((vector) => verifySignature(...parts(vector), nodeEquation))).toEqual(expected)
})

test('T29: node:crypto and the equation over the points agree behind the pre-check', () => {
  expect(accepted((vector) => verifySignature(...parts(vector), equationOverPoints))).toEqual(
    expected,
  )
})

test('T29: @noble/ed25519 with a prime-order check agrees, but for keys of mixed order', () => {
  const byNoble = (vector: SignatureVector) => {
    const [key, message, signature] = parts(vector)
    if (!passesPreCheck(key, signature)) return false
    try {
      const hasPrimeOrder = (bytes: Uint8Array) => Point.fromBytes(bytes).isTorsionFree()
      if (!hasPrimeOrder(key) || !hasPrimeOrder(signature.subarray(0, 32))) return false
      return verify(signature, message, key, { zip215: false })
    } catch {
      return false
    }
  }
  // Only who made such a key can sign so; the pinned equation decides, and it accepts.
  const ofMixedOrder = vectors.filter((vector) => vector.accepted && vector.torsion)
  expect(ofMixedOrder.map(({ comment }) => comment)).toEqual([
    'A of mixed order, both equations hold',
    'A and R of mixed order, both equations hold',
  ])
  const kept = expected.filter((comment) => !ofMixedOrder.some((v) => v.comment === comment))
  expect(accepted(byNoble)).toEqual(kept)
})

test('T29: a worker thread gives the same verdicts', async () => {
  const worker = new Worker(new URL('./signature-worker.ts', import.meta.url), {
    workerData: vectors,
  })
  const { promise, resolve, reject } = Promise.withResolvers<boolean[]>()
  worker.once('message', resolve)
  worker.once('error', reject)
  expect(await promise).toEqual(vectors.map((vector) => vector.accepted))
  await worker.terminate()
})

test('the pre-check compares bytes as numbers: next to every boundary', () => {
  const good = signerNamed('A').publicKey
  const signature = (R: string, S: bigint) =>
    bytesOfHex(R + hexOf(bytesOfHex(S.toString(16).padStart(64, '0')).reverse()))
  const L = 2n ** 252n + 27742317777372353535851937790883648493n
  const passes = (S: bigint) => passesPreCheck(bytesOfHex(good), signature(good, S))
  const bumps = [1n, 256n, 2n ** 64n, 2n ** 128n, 2n ** 248n]
  expect(bumps.map((bump) => passes(L - bump))).toEqual(bumps.map(() => true))
  expect([0n, ...bumps].map((bump) => passes(L + bump))).toEqual([0n, ...bumps].map(() => false))
})
