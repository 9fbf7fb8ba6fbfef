// The whole state in one comparable form. The reference and the real reducer both end in it.
export interface StateText {
  /** Live tenures by rank: `TENURE KEY`. */
  owners: string[]
  /** Tenures whose add is void, sorted. */
  unborn: string[]
  /** Void owner events, sorted. */
  void: string[]
  /** What a new accept needs now. */
  policy: number
  /** Reviews that require another number of keys than the genesis does. */
  requirements: Record<string, number>
  /** `PROPOSAL:INDEX` to `pending`, `rejected BY`, `accepted BY`. */
  items: Record<string, string>
  objects: Record<string, ObjectText>
  /** `SPACE NAME` to the object that owns it. */
  names: Record<string, string>
  /** Tag to the release that owns it. */
  tags: Record<string, string>
}

export interface ObjectText {
  /** By date. */
  versions: string[]
  active: string[]
  /** Canonical first, the rest by date. */
  heads: string[]
  purged: boolean
  /** Content of the canonical head in hex; `annotation` for those. */
  current?: string
  /** `SPACE NAME` and the accept that dates it. */
  claim?: string
}

/** Equal for equal states, whatever the order of keys. */
export function digestOf(state: StateText): string {
  return JSON.stringify(state, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
