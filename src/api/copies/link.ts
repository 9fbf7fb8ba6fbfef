// gonk:// links: a dataset, a root to clone, and where to find it.
import { GonkError } from '../../core/errors.ts'
import { eventIdOfText } from '../../core/ids.ts'

export interface CloneTarget {
  /** CID of a snapshot or of a genesis: the reference itself says which. */
  readonly cid: string
  readonly peers: readonly string[]
}

export function linkOf(dataset: string, root: string, peers: readonly string[]): string {
  const query = new URLSearchParams([['root', root], ...peers.map((peer) => ['peer', peer])])
  return `gonk://${dataset}?${query}`
}

/** Reads a root CID, a dataset id, or a gonk:// link, whose root goes before its id. Throws BAD_CID. */
export function parseReference(ref: string): CloneTarget {
  if (!ref.startsWith('gonk://')) return { cid: checked(ref), peers: [] }
  const [id = '', query = ''] = ref.slice('gonk://'.length).split('?')
  const parameters = new URLSearchParams(query)
  const cid = parameters.get('root') ?? id.replace(/\/$/, '')
  return { cid: checked(cid), peers: parameters.getAll('peer') }
}

function checked(text: string): string {
  if (eventIdOfText(text) === undefined) {
    throw new GonkError('BAD_CID', `"${text}" is not the CID of a root or a dataset`)
  }
  return text
}
