// Makes a failing plan smaller, and keeps it as a test.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Action, Plan } from './plan.ts'
import type { Failure } from './world.ts'

/** Runs that may be spent on it: each is some tens of ms. */
const RUNS_MAX = 400

/**
 * Leaves out actions, and then whatever else makes life hard, as long as it still fails.
 * @param fails whether a plan fails in the way that counts.
 */
export async function shrunk(
  plan: Plan,
  fails: (plan: Plan) => Promise<boolean>,
  runsMax = RUNS_MAX,
): Promise<Plan> {
  let runs = 0
  let best = plan
  const take = async (candidate: Plan): Promise<boolean> => {
    if (++runs > runsMax || !(await fails(candidate))) return false
    best = candidate
    return true
  }
  let size = Math.ceil(plan.actions.length / 2)
  while (size >= 1 && runs < runsMax) {
    const before = best.actions.length
    for (let from = 0; from < best.actions.length && runs < runsMax;) {
      const actions: Action[] = best.actions.toSpliced(from, size)
      if (!(await take({ ...best, actions }))) from += size
    }
    // To leave one out may be what another one was waiting for.
    if (size > 1) size = Math.ceil(size / 2)
    else if (best.actions.length === before) break
  }
  const easier: Partial<Plan>[] = [
    { lossPercent: 0 },
    { doublePercent: 0 },
    { unlinkedPercent: 0 },
    { isTwin: false },
    { kReview: 1 },
    { kOwner: 1, kReview: 1 },
    { founders: 1, kOwner: 1, kReview: 1 },
    { nodes: 2 },
    { nodes: 3 },
  ]
  for (const part of easier) {
    const { nodes = 0 } = part
    if (nodes < best.nodes) await take({ ...best, ...part })
  }
  return best
}

/**
 * Writes the test that fails until the bug is gone, and stays: beside those that are kept, of the same
 * seed too. @returns its path.
 */
export async function keepFound(
  directory: string,
  plan: Plan,
  failure: Failure,
  command: string,
): Promise<string> {
  const actions = plan.actions
    .map(({ atMs, kind, pick }) => `    { atMs: ${atMs}, kind: '${kind}', pick: ${pick} },`)
    .join('\n')
  const { actions: _, ...rest } = plan
  const config = Object.entries(rest)
    .map(([name, value]) => `  ${name}: ${JSON.stringify(value)},`)
    .join('\n')
  const text = `// ${failure.kind}: ${oneLine(failure.what)}
// Found by: ${command}
import { staysFixed } from '../stays-fixed.ts'

staysFixed({
${config}
  actions: [
${actions}
  ],
})
`
  await mkdir(directory, { recursive: true })
  for (let number = 1; ; number++) {
    const name = number === 1 ? plan.seed : `${plan.seed}-${number}`
    const path = join(directory, `${name}.test.ts`)
    const isNew = await writeFile(path, text, { flag: 'wx' }).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error
        return false
      },
    )
    if (isNew) return path
  }
}

function oneLine(text: string): string {
  const line = text.split('\n')[0] ?? ''
  return line.length > 80 ? `${line.slice(0, 80)}…` : line
}
