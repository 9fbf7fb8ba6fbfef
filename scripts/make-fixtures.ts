// Writes the vectors of test/fixtures: signatures, events, and a small history with its state. The
// same bytes every time. `node scripts/make-fixtures.ts`
import { writeFileSync } from 'node:fs'
import { eventVectors } from '../test/fixtures/event-vectors.ts'
import { signatureVectors } from '../test/fixtures/signature-vectors.ts'

function write(name: string, vectors: unknown): void {
  const path = new URL(`../test/fixtures/${name}.json`, import.meta.url)
  writeFileSync(path, `${JSON.stringify(vectors, null, 1)}\n`)
}

write('ed25519', signatureVectors())
write('events', eventVectors())
