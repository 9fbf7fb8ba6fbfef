// `npm run bench [-- NAME…] [--size full] [--rounds N]`: each benchmark in a process of its own, so
// that memory and warm code are its own too; then one table, and the same as JSON in bench/results/.
import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Row, type Run, runBench, type Size } from './harness.ts'
import { jsonOf, tableOf } from './table.ts'

const names = [
  'start',
  'events',
  'replay',
  'growth',
  'sync',
  'gossip',
  'add',
  'clone-large',
  'clone-small',
  'hostile-schema',
  'hostile-requests',
  'gonk',
]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: 'string', default: 'small' },
    rounds: { type: 'string', default: '5' },
    child: { type: 'boolean', default: false },
  },
})
const size: Size = values.size === 'full' ? 'full' : 'small'
const rounds = Number(values.rounds)

if (values.child) await asChild(positionals[0] ?? '')
else await asParent(positionals.length > 0 ? positionals : names)

async function asChild(name: string): Promise<void> {
  const { run } = (await import(`./${name}.ts`)) as { run: Run }
  await runBench(run, { size, rounds, report: (row) => process.send?.(row) })
  process.disconnect()
}

async function asParent(wanted: readonly string[]): Promise<void> {
  const unknown = wanted.filter((name) => !names.includes(name))
  if (unknown.length > 0) {
    process.stderr.write(`no benchmark ${unknown.join(', ')}; there are: ${names.join(', ')}\n`)
    process.exitCode = 2
    return
  }
  const results: object[] = []
  const rows: Row[] = []
  for (const name of wanted) {
    process.stderr.write(`${name} …\n`)
    const before = loadavg()[0]
    const { found, status } = await runChild(name)
    rows.push(...found)
    const load = [before, loadavg()[0]]
    results.push({ name, ok: status === 0, load, rows: found.map(jsonOf) })
    if (status !== 0) process.exitCode = 1
  }
  process.stdout.write(`\n${tableOf(rows)}\n\n${await save(results)}\n`)
}

async function runChild(name: string): Promise<{ found: Row[]; status: number | null }> {
  const args = ['--child', name, '--size', size, '--rounds', String(rounds)]
  const child: ChildProcess = fork(import.meta.filename, args)
  const found: Row[] = []
  child.on('message', (row) => {
    found.push(row as Row)
    process.stderr.write(
      `${tableOf([row as Row])
        .split('\n')
        .slice(2)
        .join('\n')}\n`,
    )
  })
  const [status] = (await once(child, 'exit')) as [number | null]
  return { found, status }
}

/** @returns one line about the machine and where the JSON is. */
async function save(benches: readonly object[]): Promise<string> {
  const { version } = process
  const cpu = cpus()[0]?.model ?? 'unknown'
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD']).toString().trim()
  const machine = { cpu, cores: cpus().length, memoryBytes: totalmem(), node: version }
  const at = new Date().toISOString()
  const folder = join(import.meta.dirname, 'results')
  const file = join(folder, `${at.replaceAll(':', '-')}.json`)
  await mkdir(folder, { recursive: true })
  const text = JSON.stringify({ at, commit, size, rounds, machine, benches }, undefined, 2)
  await writeFile(file, `${text}\n`)
  const load = loadavg()
    .map((value) => value.toFixed(1))
    .join(' ')
  return `${machine.cores} × ${cpu}, Node ${version}, load ${load}, size ${size}, ${rounds} rounds\n${file}`
}
