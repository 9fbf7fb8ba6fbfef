// `config get|set|list`: the config file of a home, without its daemon.
import type { Command } from 'commander'
import type { SettingName } from '../config.ts'
import { table } from './output.ts'
import type { Session } from './session.ts'
import { examples, task } from './task.ts'

export function addConfig(program: Command): void {
  const config = program
    .command('config')
    .description('read and change settings')
    .addHelpText(
      'after',
      examples([
        'gonk-node config list',
        'gonk-node config get http',
        'gonk-node config set listen /ip4/0.0.0.0/tcp/4050',
      ]),
    )
  config
    .command('list')
    .description('every setting, its value, where that came from, and what it means')
    .action(
      task(async (session: Session) => {
        const entries = await readSettings(session)
        session.output.result(entries, () => {
          const rows = entries.map(({ name, text, source, doc }) => {
            return [name, text || '-', source, doc.split('\n')[0] ?? '']
          })
          return table(['SETTING', 'VALUE', 'FROM', 'MEANING'], rows)
        })
      }),
    )
    .addHelpText('after', examples(['gonk-node config list', 'gonk-node config list --json']))
  config
    .command('get')
    .argument('<setting>')
    .description('the value of one setting')
    .action(
      task(async (session: Session, setting: string) => {
        const { checkedName } = await import('../config.ts')
        const name = checkedName(setting)
        const entry = (await readSettings(session)).find((candidate) => candidate.name === name)
        session.output.result(entry ?? {}, () => entry?.text ?? '')
      }),
    )
    .addHelpText('after', examples(['gonk-node config get http']))
  config
    .command('set')
    .argument('<setting>')
    .argument('<value...>', 'one value; for lists any number')
    .description('change a setting in the config file, keeping its comments')
    .action(
      task(async (session: Session, setting: string, values: string[]) => {
        const { withSetting } = await import('../config.ts')
        const { openHome, readConfigFile, writeConfigFile } = await import('../home.ts')
        const { dir } = await openHome(await session.homeDir())
        const text = withSetting((await readConfigFile(dir)) ?? '', setting, values)
        await writeConfigFile(dir, text)
        session.output.note('a running daemon reads it at its next start')
        const entry = (await readSettings(session)).find(({ name }) => name === setting)
        session.output.result(entry ?? {}, () => `${setting}: ${entry?.text ?? ''}`)
      }),
    )
    .addHelpText(
      'after',
      examples([
        'gonk-node config set http 127.0.0.1:6060',
        'gonk-node config set prefetchBytesMax "20 GiB"',
        'gonk-node config set hosts localhost gonk.lab.example',
      ]),
    )
}

async function readSettings(session: Session) {
  const { loadConfig, settingText, settings, variableOf } = await import('../config.ts')
  const { openHome, readConfigFile } = await import('../home.ts')
  const { dir } = await openHome(await session.homeDir())
  const { config, sources } = loadConfig(await readConfigFile(dir), {
    logLevel: session.globals.logLevel,
  })
  return (Object.keys(settings) as SettingName[]).map((name) => {
    const text = settingText(config[name])
    const value = name === 'http' ? text : config[name]
    const { doc, preset } = settings[name]
    return {
      name,
      value,
      text,
      source: sources[name],
      default: preset,
      variable: variableOf(name),
      doc,
    }
  })
}
