import type { CommandContext, CommandHost } from './context.ts'

export function registerConfig({ program, run }: CommandHost): void {
  const command = program
    .command('config')
    .description('Shows the settings in force, secrets hidden, and where those came from that are no defaults.')
    .addHelpText(
      'after',
      '\nExamples:\n  $ meltica config\n  $ meltica config --config config/binance.yaml --set ingest.redundancy=2\n' +
        '  $ MELTICA_TELEMETRY__LOG_LEVEL=debug meltica config --json',
    )
  run(command, showConfig)
}

async function showConfig(context: CommandContext): Promise<number> {
  const loaded = await context.load()
  const { renderConfig } = await import('../config/render.ts')
  const { hideSecrets } = await import('../lib/secrets.ts')
  context.write(context.json ? `${JSON.stringify(hideSecrets(loaded.config))}\n` : renderConfig(loaded))
  return 0
}
