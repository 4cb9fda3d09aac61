import type { Command, CommanderError } from 'commander'

/** One message for wrong use: what was expected, what was found, where to read on. */
export function describeWrongUse(error: CommanderError, program: Command, argv: readonly string[]): string {
  const command = program.commands.find((known) => argv.includes(known.name())) ?? program
  const name = command === program ? 'meltica' : `meltica ${command.name()}`
  const said = error.message.replace(/^error: /, '').replace(/\n\(?/, ' (')
  return `${name}: ${sentence(error.code, said, command)}\nSee \`${name} --help\`.`
}

function sentence(code: string, said: string, command: Command): string {
  const quoted = /'([^']*)'/.exec(said)?.[1] ?? ''
  const hint = /\((Did you mean .*)\)/.exec(said)?.[1]
  const suffix = hint === undefined ? '' : `. ${hint}`
  switch (code) {
    case 'commander.unknownOption': {
      const known = command.options.map((option) => option.long).join(' ')
      return `expected one of the options ${known}, found ${quoted}${suffix}`
    }
    case 'commander.unknownCommand': {
      const known = command.commands.map((other) => other.name()).join(', ')
      return `expected one of the commands ${known}, found ${quoted}${suffix}`
    }
    case 'commander.help':
      return `expected one of the commands ${command.commands.map((other) => other.name()).join(', ')}, found none`
    case 'commander.missingArgument':
      return `expected the argument ${quoted}, found none`
    case 'commander.optionMissingArgument':
      return `expected a value with ${quoted}, found none`
    case 'commander.missingMandatoryOptionValue':
      return `expected the option ${quoted}, found none`
    case 'commander.excessArguments': {
      const expected = command.registeredArguments.map((argument) => argument.name()).join(' ') || 'no arguments'
      return `expected ${expected}, found ${command.args.map((text) => `"${text}"`).join(' ')}`
    }
    case 'commander.invalidArgument': {
      const [, option = '', reason = said] =
        /^(?:option|command-argument value)? ?'([^']*)'.*? is invalid\. (.*)$/s.exec(said) ?? []
      return `${option}: ${reason}`
    }
    default:
      return said
  }
}
