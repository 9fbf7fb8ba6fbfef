// `init`: makes a home.
import type { Command } from 'commander'
import type { Session } from './session.ts'
import { examples, task } from './task.ts'
import { pairs } from './output.ts'

export function addInit(program: Command): void {
  program
    .command('init')
    .description('make the home of a node: its keys and a config file')
    .option('--name <name>', 'how the node is called in its own logs and status')
    .action(
      task(async (session: Session, options: { name?: string }) => {
        const { initHome } = await import('../home.ts')
        const { newConfigText } = await import('../config.ts')
        const home = await initHome(await session.homeDir(), newConfigText(options.name))
        const { dir, publicKey, peerId } = home
        session.output.result({ home: dir, publicKey, peerId }, () =>
          [
            pairs({ home: dir, 'public key': publicKey, 'peer id': peerId }),
            '\nNow try `gonk-node start`, or without a daemon `gonk-node dataset create NAME`.',
          ].join('\n'),
        )
      }),
    )
    .addHelpText(
      'after',
      examples([
        'gonk-node init',
        'gonk-node init --name lab-1',
        'gonk-node --home /data/gonk init',
      ]),
    )
}
