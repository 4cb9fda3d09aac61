import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { loadConfig } from '../../src/config/load.ts'
import { renderConfig } from '../../src/config/render.ts'

const SECRET = 'correct-horse-battery-staple'
const HASH = `sha256:${createHash('sha256').update(SECRET).digest('hex')}`
const refusal = (load: () => unknown): string => {
  try {
    load()
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  return 'accepted'
}

describe('tokens of the admin API', () => {
  const folder = mkdtempSync(join(tmpdir(), 'meltica-tokens-'))
  after(() => rmSync(folder, { recursive: true }))

  it('are kept as hashes and shown as neither, wherever they came from', () => {
    const file = join(folder, 'tokens.yaml')
    writeFileSync(
      file,
      `- { name: desk, roles: [read, operate], token: ${SECRET} }\n- { name: eye, roles: [read], token: '${HASH}' }\n`,
    )
    const loads = [
      loadConfig({ environment: { MELTICA_GATEWAY__TOKEN_FILE: file } }),
      loadConfig({ environment: { MELTICA_GATEWAY__TOKENS: `[{name: desk, roles: [read], token: ${SECRET}}]` } }),
      loadConfig({ assignments: [`gateway.tokens=[{name: desk, roles: [read], token: ${SECRET}}]`] }),
    ]
    for (const loaded of loads) {
      for (const { token } of loaded.config.gateway.tokens) expect(token).to.equal(HASH)
      expect(renderConfig(loaded)).to.not.contain(SECRET).and.not.contain(HASH.slice(7))
    }
  })

  it('are never quoted in a refusal, however they were mistaken', () => {
    const file = join(folder, 'wrong.yaml')
    writeFileSync(file, `- {name: desk, roles: [read], token: ${SECRET}\n`)
    const texts = [
      ...[SECRET, `[${SECRET}]`, `{a: [${SECRET}`, `[{name: desk, roles: [all], token: 'a b ${SECRET}'}]`].map((text) =>
        refusal(() => loadConfig({ environment: { MELTICA_GATEWAY__TOKENS: text } })),
      ),
      refusal(() => loadConfig({ assignments: [`gateway.tokenFile=${file}`] })),
    ]
    for (const text of texts) expect(text).to.contain('gateway.token').and.not.contain(SECRET)
  })

  it('are needed before anything but loopback is listened on', () => {
    const listen = (address: string, more: string[] = []) =>
      refusal(() => loadConfig({ assignments: ['roles=gateway', `gateway.listen=${address}`, ...more] }))
    for (const address of ['0.0.0.0:8080', '[::]:8080', '10.0.0.1:8080', '127.0.0.1.evil.example:80']) {
      expect(listen(address)).to.match(/gateway\.listen: expected loopback .* while gateway\.tokens is empty/)
      expect(listen(address, [`gateway.tokens=[{name: a, roles: [read], token: ${SECRET}}]`])).to.equal('accepted')
    }
    for (const address of ['127.0.0.1:8080', '127.9.9.9:1', 'localhost:80', '[::1]:80', 'off']) {
      expect(listen(address)).to.equal('accepted')
    }
  })

  it('are refused when they are short, or two have one name', () => {
    expect(
      refusal(() => loadConfig({ assignments: ['gateway.tokens=[{name: a, roles: [read], token: short}]'] })),
    ).to.contain('gateway.tokens.0.token: expected a token of 16 or more')
    const one = `{name: a, roles: [read], token: ${SECRET}}`
    expect(refusal(() => loadConfig({ assignments: [`gateway.tokens=[${one}, ${one}]`] }))).to.contain(
      'found "a" twice',
    )
  })
})
