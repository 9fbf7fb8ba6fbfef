// The architecture as a test: src/README.md says who may import what, and this reads it.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const source = join(root, 'src')

interface Rule {
  readonly place: string
  readonly ours: readonly string[]
  readonly others: readonly string[]
}

interface Import {
  readonly from: string
  readonly to: string
  readonly typeOnly: boolean
}

/** Rows of the table under "Dependency rules": place, our own code, packages. */
function rulesOf(readme: string): Rule[] {
  const section = readme.split('## Dependency rules')[1]?.split('\n## ')[0] ?? ''
  const cells = (cell = '') => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string)
  return section
    .split('\n')
    .filter((line) => /^\| `/.test(line))
    .map((line) => {
      const [, place, ours, others] = line.split('|')
      return { place: cells(place)[0] as string, ours: cells(ours), others: cells(others) }
    })
}

/** The folder or file directly under src. */
const placeOf = (path: string) => path.split('/')[0] as string

function importsOf(path: string, text: string): Import[] {
  const pattern =
    /(?:^|\n)\s*(?:import|export)(\s+type)?[^'"\n;]*?(?:\{[^}]*\})?[^'"\n;]*?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)|(?:^|\n)import\s+'([^']+)'/g
  return [...text.matchAll(pattern)].map(([, isType, named, dynamic, bare]) => {
    const specifier = (named ?? dynamic ?? bare) as string
    const to = specifier.startsWith('.')
      ? `src/${relative(source, resolve(source, dirname(path), specifier))}`
      : packageOf(specifier)
    return { from: path, to, typeOnly: isType !== undefined }
  })
}

function packageOf(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** One sentence for each import that a rule forbids. */
export function violations(rules: readonly Rule[], imports: readonly Import[]): string[] {
  const problems: string[] = []
  for (const { from, to, typeOnly } of imports) {
    const place = placeOf(from)
    const rule = rules.find((candidate) => candidate.place === place)
    if (rule === undefined) {
      problems.push(`src/README.md has no rule for ${place}`)
    } else if (to.startsWith('src/')) {
      const target = placeOf(to.slice('src/'.length))
      const isAllowed =
        target === place ||
        rule.ours.includes(target) ||
        (typeOnly && rule.ours.includes(`types of ${target}`))
      if (!isAllowed) problems.push(`${from} imports ${to}: ${place} may not import ${target}`)
    } else if (
      !rule.others.some((name) => name === to || (typeOnly && name === `types of ${to}`))
    ) {
      problems.push(`${from} imports ${to}: not among the packages of ${place}`)
    }
  }
  return problems
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((path) =>
  path.endsWith('.ts'),
)
const texts = new Map(files.map((path) => [path, readFileSync(join(source, path), 'utf8')]))
const readme = readFileSync(join(source, 'README.md'), 'utf8')
const rules = rulesOf(readme)
const imports = files.flatMap((path) => importsOf(path, texts.get(path) as string))

describe('the layout', () => {
  test('keeps the dependency rules of src/README.md', () => {
    expect(rules.length).toBeGreaterThan(8)
    expect(violations(rules, imports)).toEqual([])
  })

  test('would fail if core read a file, or the network the log', () => {
    const forbidden = [
      { from: 'core/event.ts', to: 'node:fs', typeOnly: false },
      { from: 'network/rpc.ts', to: 'src/log/database.ts', typeOnly: false },
    ]
    expect(violations(rules, forbidden)).toHaveLength(2)
  })

  test('has no import cycles', () => {
    expect(cycleIn(imports)).toBeUndefined()
  })

  test('names every file of src in the map, and none that is not there', () => {
    const map = readme.split('## Files')[1]?.split('\n## ')[0] ?? ''
    const named = [...map.matchAll(/^- `([^`]+\.ts)`/gm)].map(([, path]) => path as string)
    expect(named.toSorted()).toEqual(files.toSorted())
  })
})

describe('the code', () => {
  const all = [...texts]

  test('has files of at most 400 lines', () => {
    const long = all.filter(([, text]) => text.split('\n').length > 401).map(([path]) => path)
    expect(long).toEqual([])
  })

  test('has lines of at most 110 characters', () => {
    const long = all.flatMap(([path, text]) =>
      text.split('\n').flatMap((line, i) => (line.length > 110 ? [`${path}:${i + 1}`] : [])),
    )
    expect(long).toEqual([])
  })

  test('leaves nothing unfinished and escapes no type', () => {
    const banned = /\bTODO\b|\bFIXME\b|\bXXX\b|console\.log|\bas any\b|@ts-ignore|@ts-nocheck/
    expect(all.filter(([, text]) => banned.test(text)).map(([path]) => path)).toEqual([])
  })

  test('reads the environment in config.ts only', () => {
    const readers = all.filter(([, text]) => /process\.env\b/.test(text)).map(([path]) => path)
    expect(readers).toEqual(['config.ts'])
  })

  test('keeps clocks, chance and waiting out of core', () => {
    const impure = /\bDate\b|Math\.random|setTimeout|setInterval|\bprocess\.|localeCompare|\bIntl\b/
    const found = all.filter(([path, text]) => path.startsWith('core/') && impure.test(code(text)))
    expect(found.map(([path]) => path)).toEqual([])
  })

  test('opens LevelDB in one place', () => {
    const openers = imports.filter(({ to }) => to === 'level').map(({ from }) => from)
    expect(openers).toEqual(['log/database.ts'])
  })
})

/** Without comments. */
function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '')
}

/** A chain of files in which each imports the next and the last the first; types do not count. */
function cycleIn(all: readonly Import[]): string[] | undefined {
  const next = new Map<string, string[]>()
  for (const { from, to, typeOnly } of all) {
    if (typeOnly || !to.startsWith('src/')) continue
    next.set(from, [...(next.get(from) ?? []), to.slice('src/'.length)])
  }
  const done = new Set<string>()
  const visit = (file: string, path: string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const target of next.get(file) ?? []) {
      const cycle = visit(target, [...path, file])
      if (cycle) return cycle
    }
    done.add(file)
    return undefined
  }
  for (const file of next.keys()) {
    const cycle = visit(file, [])
    if (cycle) return cycle
  }
  return undefined
}
