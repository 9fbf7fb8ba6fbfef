// What of a Gonk history is here already: proposals of the same key say by their labels which of
// Gonk's events they are.
import type { VersionId } from '../../core/ids.ts'
import type { GonkHistory, GonkOperation } from '../../importers/gonk/history.ts'
import type { Replica } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'

export interface Imported {
  /** Where operations are; grows as they are imported. */
  readonly places: Map<GonkOperation, VersionId>
  /** Operations whose own labels tell of their review. */
  readonly toldReviews: Set<GonkOperation>
  /** Operations that are decided here, by Gonk's owners or by whoever came after. */
  readonly decided: Set<GonkOperation>
}

/** Reads the proposals of whoever asks. */
export async function findImported(
  { signer }: Pick<NodeContext, 'signer'>,
  replica: Replica,
  { steps }: GonkHistory,
): Promise<Imported> {
  const imported: Imported = { places: new Map(), toldReviews: new Set(), decided: new Set() }
  const wanted = new Map<string, GonkOperation>()
  for (const step of steps) {
    if ('operation' in step) wanted.set(step.operation.event.uuid, step.operation)
  }
  for await (const [, id] of replica.log.history.authoredBy(signer.publicKey)) {
    const proposal = await replica.proposal(id)
    const row = proposal && (await replica.log.proposal(id))
    for (const [index, { labels = {} }] of proposal?.operations.entries() ?? []) {
      const operation = wanted.get(labels['gonk.event'] ?? '')
      if (operation === undefined || imported.places.has(operation)) continue
      imported.places.set(operation, { proposal: id, index })
      if (labels['gonk.review'] !== undefined) imported.toldReviews.add(operation)
      const decision = row?.decisions.find(({ from, to }) => from <= index && index <= to)
      if (decision !== undefined && decision.status !== 'pending') imported.decided.add(operation)
    }
  }
  return imported
}
