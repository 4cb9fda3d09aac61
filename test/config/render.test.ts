import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { parse } from 'yaml'
import { DEFAULTS_FILE, loadConfig } from '../../src/config/load.ts'
import { renderConfig } from '../../src/config/render.ts'
import { nearest, settings } from '../../src/config/settings.ts'
import { hidePasswords, hideSecrets } from '../../src/lib/secrets.ts'

describe('the configuration shown', () => {
  it('hides passwords, also inside addresses, and says where values came from', () => {
    const text = renderConfig(
      loadConfig({ environment: { MELTICA_REDIS__PASSWORD: 'hunter2' }, redis: 'rediss://me:p@ss:w0rd@host:6379/0' }),
    )
    expect(text).to.not.match(/hunter2|p@ss|w0rd/)
    expect(text).to.contain('url: rediss://me:***@host:6379/0 # --redis')
    expect(text).to.contain('password: "***" # environment MELTICA_REDIS__PASSWORD')
    expect(text).to.contain('passwordFile: null\n')
  })

  it('hides the password of the sentinels', () => {
    const assignments = [
      'redis.mode=sentinel',
      'redis.nodes=[a:1]',
      'redis.sentinelName=m',
      'redis.sentinelPassword=x12y',
    ]
    const text = renderConfig(loadConfig({ assignments }))
    expect(text).to.not.contain('x12y')
    expect(text).to.contain('sentinelPassword: "***"')
  })

  it('is YAML that can be given as a file again', () => {
    const { config } = loadConfig({ assignments: ['simulator.seed=7'] })
    const shown = parse(renderConfig({ config, origin: () => '--set' }))
    expect(shown).to.deep.equal(JSON.parse(JSON.stringify(config)))
  })

  it('hides tokens and secrets of any name, but not the names of files', () => {
    const shown = hideSecrets({ apiToken: 'x', nested: { clientSecret: 'x', keyFile: 'y' }, list: ['redis://:x@h'] })
    expect(shown).to.deep.equal({
      apiToken: '***',
      nested: { clientSecret: '***', keyFile: 'y' },
      list: ['redis://:***@h'],
    })
    expect(hidePasswords('two redis://a:b@c and https://d:e@f/?token=g&h=i')).to.equal(
      'two redis://a:***@c and https://d:***@f/?token=***&h=i',
    )
  })
})

describe('config/meltica.yaml', () => {
  const lines = readFileSync(DEFAULTS_FILE, 'utf8').split('\n')

  it('holds every setting', () => {
    const defaults = parse(lines.join('\n')) as Record<string, unknown>
    for (const { path } of settings.values()) {
      const value = path
        .split('.')
        .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], defaults)
      expect(value, path).to.not.equal(undefined)
    }
  })

  it('explains them', () => {
    const comments = lines.filter((line) => line.trim().startsWith('#')).length
    expect(comments).to.be.greaterThan(50)
  })
})

describe('the nearest name', () => {
  it('finds misspelt levels and settings put into the wrong group', () => {
    const known = [...settings.keys()]
    expect(nearest('ingest.redundency', known)).to.equal('ingest.redundancy')
    expect(nearest('redis.logLevel', known)).to.equal('telemetry.logLevel')
    expect(nearest('venue.binance.depthlimit', known)).to.equal('venues.binance.depthLimit')
  })
})
