// What is looked for among all that arrived here, at the cost of what the keys that count have signed:
// however much others send, it is leapt over.
import type { PublicKey } from '../../core/ids.ts'
import type { Replica } from '../../replica/replica.ts'

/** The first arrival of a list that is not before the one given. */
export type ArrivalList = (from: number) => Promise<number | undefined>

/** Keys of owners, and those that have proposed on this node. */
export async function keysThatCount(replica: Replica): Promise<Set<PublicKey>> {
  const owners = replica.tenures.filter(({ live }) => live).map(({ key }) => key)
  return new Set([...owners, ...(await replica.log.history.ownAuthors())])
}

/** What a key has signed. */
export function signedBy({ log }: Replica, key: PublicKey): ArrivalList {
  return async (from) => {
    for await (const [arrival] of log.history.authoredBy(key, { from, limit: 1 })) return arrival
    return undefined
  }
}

/**
 * Arrivals, ascending, that both lists have.
 * @returns also where it ended, when that was before the end of the lists.
 */
export async function sharedArrivals(
  a: ArrivalList,
  b: ArrivalList,
  stepsMax: number,
): Promise<{ arrivals: number[]; next?: number }> {
  const arrivals: number[] = []
  let from = 0
  for (let steps = 0; steps < stepsMax; steps++) {
    const one = await a(from)
    const other = one === undefined ? undefined : await b(one)
    if (one === undefined || other === undefined) return { arrivals }
    if (one === other) arrivals.push(one)
    from = one === other ? one + 1 : other
  }
  return { arrivals, next: from }
}
