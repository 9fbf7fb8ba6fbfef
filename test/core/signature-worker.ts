// What signature.test.ts runs in a worker thread.
import { parentPort, workerData } from 'node:worker_threads'
import { bytesOfHex } from '../../src/core/ids.ts'
import { verifySignature } from '../../src/core/signature.ts'
import type { SignatureVector } from '../fixtures/signature-vectors.ts'
import { nodeEquation } from '../signing.ts'

parentPort?.postMessage(
  (workerData as SignatureVector[]).map(({ key, message, signature }) =>
    verifySignature(bytesOfHex(key), bytesOfHex(message), bytesOfHex(signature), nodeEquation),
  ),
)
