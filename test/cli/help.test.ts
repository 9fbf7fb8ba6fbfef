import { expect, it } from 'vitest'
import { gonkHere } from './run.ts'

const commands = [
  ...['init', 'start', 'status', 'peers', 'connect', 'version', 'add', 'rm', 'mv', 'ls', 'log'],
  ...['show', 'diff', 'root', 'clone', 'share', 'checkout', 'verify', 'gc', 'backup', 'restore'],
  ...['repair'],
  ...['dataset', 'dataset create', 'dataset list', 'dataset show', 'dataset forget'],
  ...['review', 'review list', 'review accept', 'review reject'],
  ...['schema', 'schema add', 'schema list', 'schema show', 'schema deprecate', 'schema common'],
  ...['annotate', 'annotation', 'annotation list', 'annotation show', 'annotation update'],
  ...['owner', 'owner list', 'owner add', 'owner remove', 'owner endorse'],
  ...['policy', 'policy show', 'policy set'],
  ...['checkpoint', 'checkpoint create', 'checkpoint vote', 'checkpoint list'],
  ...['checkpoint trust'],
  ...['release', 'release create', 'release list', 'release show'],
  ...['users', 'users add', 'users list', 'users rekey', 'users remove'],
  ...['config', 'config list', 'config get', 'config set'],
]

async function stdoutOf(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await gonkHere(args)
  expect([status, stderr]).toEqual([0, ''])
  return stdout
}

it.each(commands)('help %s shows examples, as %s --help does', async (command) => {
  const words = command.split(' ')
  const help = await stdoutOf('help', ...words)
  expect(help).toMatch(new RegExp(`Examples:\n(.*\n)*  gonk-node.*${command}`))
  expect(await stdoutOf(...words, '--help')).toBe(help)
})

it('help names every command', async () => {
  const help = await stdoutOf('help')
  for (const command of commands) expect(help).toContain(`\n  ${command.split(' ')[0]} `)
  expect(await stdoutOf('--help')).toBe(help)
})
