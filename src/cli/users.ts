// `users add|list|rekey|remove`.
import { type Command, Option } from 'commander'
import type { Role, UserInfo, UserWithKey } from '../contract/api.ts'
import { table } from './output.ts'
import type { Session } from './session.ts'
import { examples, task } from './task.ts'

const roles: Role[] = ['reader', 'member', 'admin']
const NAME = '1 to 64 of A-Z a-z 0-9 . _ -, the first of them not . or -'

export function addUsers(program: Command): void {
  const users = program
    .command('users')
    .description('who may use this node over HTTP: add, list, rekey, remove')
    .addHelpText(
      'after',
      examples(['gonk-node users add ada --role admin', 'gonk-node users list']),
    )
  users
    .command('add')
    .argument('<name>', NAME)
    .description('make a user with a signing key and an API key, which is shown once')
    .addOption(new Option('--role <role>', 'what the user may do').choices(roles).default('member'))
    .action(
      task((session: Session, name: string, { role }: { role: Role }) =>
        session.withNode(async (api) => showKey(session, await api.addUser({ name, role }))),
      ),
    )
    .addHelpText(
      'after',
      examples([
        'gonk-node users add ada                        may read and propose',
        'gonk-node users add bob --role reader          may read',
        'gonk-node users add eve --role admin           may do everything',
        'GONK_PASSPHRASE_FILE=/run/secret gonk-node users add ada    seals the signing keys',
      ]),
    )
  users
    .command('list')
    .description('all users, those who were removed too')
    .action(
      task((session: Session) =>
        session.withNode(async (api) => {
          const result = await api.listUsers()
          session.output.result(result, () => userTable(result))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node users list', 'gonk-node users list --json']))
  users
    .command('rekey')
    .argument('<name>', NAME)
    .description('give a user a new API key; the old one stops at once')
    .action(
      task((session: Session, name: string) =>
        session.withNode(async (api) => showKey(session, await api.rekeyUser(name))),
      ),
    )
    .addHelpText('after', examples(['gonk-node users rekey ada']))
  users
    .command('remove')
    .argument('<name>', NAME)
    .description('disable a user for good; what it signed keeps its name')
    .action(
      task((session: Session, name: string) =>
        session.withNode(async (api) => {
          const user = await api.removeUser(name)
          session.output.result(user, () => `removed ${user.name}`)
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node users remove ada']))
}

/** Scripts read these lines. */
function showKey(session: Session, user: UserWithKey): void {
  const lines = ['== THIS API KEY WILL ONLY BE SHOWN ONCE ==', `USER: ${user.name}`]
  session.output.result(user, () => [...lines, `KEY: ${user.apiKey}`, ''].join('\n'))
}

function userTable(users: readonly UserInfo[]): string {
  const rows = users.map((user) => [
    user.name,
    user.role,
    user.publicKey,
    user.createdAt,
    stateOf(user),
  ])
  return table(['NAME', 'ROLE', 'KEY', 'SINCE', ''], rows)
}

function stateOf({ removed, locked }: UserInfo): string {
  if (removed) return 'removed'
  return locked ? 'locked: no passphrase opened its signing key' : ''
}
