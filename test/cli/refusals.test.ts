import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { meltica } from './run.ts'

describe('the command line', () => {
  const wrongUses: [string, string[], RegExp][] = [
    ['no command', [], /expected one of the commands start, .*, found none/],
    ['an unknown command', ['strat'], /expected one of the commands start, .*, found strat.*Did you mean start\?/],
    [
      'an unknown option',
      ['start', '--sped', 'max'],
      /expected one of the options .*, found --sped.*Did you mean --speed\?/,
    ],
    ['an option without its value', ['start', '--for'], /expected a value with --for <duration>, found none/],
    ['a wrong duration', ['start', '--for', '20'], /--for <duration>: expected a duration such as .*, found "20"/],
    ['arguments that are none', ['config', 'all'], /expected no arguments, found "all"/],
    ['a retention that is none', ['start', '--retention', 'all'], /--retention <word>: expected none .*, found "all"/],
    ['a speed without a replay', ['start', '--speed', 'max'], /expected --replay CAPTURE with --speed/],
    ['an endless market to be done', ['start', '--until-done'], /expected --replay CAPTURE with --until-done/],
    [
      'a capture that is not there',
      ['start', '--replay', '/nope.gz'],
      /--replay: expected a capture .*, found no file "\/nope.gz"/,
    ],
    [
      'a role that is none',
      ['start', '--roles', 'cook'],
      /roles.0: expected one of ingest, conductor, .*gateway.*, found "cook"/,
    ],
    ['an unknown setting', ['config', '--set', 'ingest.redundncy=2'], /the nearest is ingest\.redundancy/],
    [
      'a settings file that is not there',
      ['config', '--config', '/nope.yaml'],
      /expected a YAML file that can be read/,
    ],
    [
      'an address that is none',
      ['config', '--redis', 'localhost'],
      /redis\.url: expected an address .*, found "localhost"/,
    ],
    ['a port that is none', ['simulate', '--port', '70000'], /expected an integer from 0 to 65535, found "70000"/],
    ['a stream pattern missing', ['tail'], /expected the argument pattern, found none/],
    [
      'a wrong position',
      ['tail', 'A:B:TRADE', '--from', 'now'],
      /expected 0, \$ or an entry id such as .*, found "now"/,
    ],
    ['a ledger missing', ['verify'], /expected the option --ledger <file>.*, found none/],
  ]
  for (const [what, args, expected] of wrongUses) {
    it(`answers ${what} with one message and exit code 2`, async () => {
      const { code, out, err } = await meltica(args)
      expect(err).to.match(expected)
      expect(err).to.not.match(/^ {4}at /m)
      expect(err.trim().split('\n').length).to.be.at.most(2)
      expect(out).to.equal('')
      expect(code).to.equal(2)
    })
  }

  it('refuses unknown variables of the environment, but not where recordings are', async () => {
    const { code, err } = await meltica(['config'], { MELTICA_PREFFIX: 'x', MELTICA_RECORDINGS: '/tmp' })
    expect(code).to.equal(2)
    expect(err).to.contain('MELTICA_PREFFIX: no such setting, the nearest is MELTICA_PREFIX (environment)')
    expect(err).to.contain('1 error:')
  })

  it('shows the place of an error only with --debug', async () => {
    const { err } = await meltica(['start', '--debug', '--replay', '/nope.gz'])
    expect(err).to.match(/^ {4}at /m)
  })

  it('shows the settings in force with their origin and without secrets', async () => {
    const args = ['config', '--prefix', 'mine', '--redis', 'redis://me:hunter2@localhost:1']
    const words = await meltica(args, { MELTICA_REDIS__PASSWORD: 'hunter2' })
    expect(words.code).to.equal(0)
    expect(words.out).to.contain('prefix: mine # --prefix').and.not.contain('hunter2')
    const json = await meltica([...args, '--json'])
    expect(JSON.parse(json.out)).to.have.nested.property('redis.url', 'redis://me:***@localhost:1')
  })

  it('takes shared options before and after the command', async () => {
    const { out } = await meltica(['--json', '--set', 'partitions=2', 'config', '--set', 'prefix=p'])
    expect(JSON.parse(out)).to.include({ partitions: 2, prefix: 'p' })
  })

  it('says its version', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
    expect(await meltica(['--version'])).to.deep.equal({ code: 0, out: `${version}\n`, err: '' })
  })

  it('has help with examples for every command', async () => {
    const { out } = await meltica(['--help'])
    const names = [...out.matchAll(/^ {2}([a-z]+) \[options\]/gm)].map(([, name]) => name ?? '')
    expect(names).to.include.members(['start', 'simulate', 'tail', 'streams', 'config', 'check', 'verify'])
    for (const name of names) {
      const help = await meltica([name, '--help'])
      expect(help.code, name).to.equal(0)
      expect(help.out, name).to.contain(`$ meltica ${name}`)
      for (const option of ['--config', '--redis', '--prefix', '--set', '--json', '--debug']) {
        expect(help.out, name).to.contain(option)
      }
    }
  })
})
