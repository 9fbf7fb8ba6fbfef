// Events: bytes → Event, and back to the very bytes.
import { eventBlocks, cborWords } from '../seeds.ts'
import type { Target } from '../target.ts'
import { checkEvent } from '../events.ts'

export const target: Target = {
  seeds: eventBlocks,
  words: [
    ...cborWords,
    ...['genesis', 'propose', 'add', 'remove', 'review', 'release', 'endorse', 'policy', 'cp'],
    ...['verdict', 'accept', 'reject', 'items', 'founders', 'kOwner', 'kReview', 'nonce', 'reason'],
    ...['height', 'prev', 'heads', 'without', 'root', 'tag', 'proof', 'create', 'update', 'purge'],
  ],
  check: (bytes) => void checkEvent(bytes),
}
