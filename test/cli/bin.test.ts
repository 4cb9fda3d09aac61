import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { expect } from 'chai'

describe('bin/meltica.js', () => {
  it('says what it needs on an older Node, and exits with 1', () => {
    const older =
      "for (const [o, k, value] of [[process.versions, 'node', '20.11.1'], [process, 'version', 'v20.11.1']]) Object.defineProperty(o, k, { value })"
    const loader = `--import=data:text/javascript,${encodeURIComponent(older)}`
    const { status, stdout, stderr } = spawnSync(process.execPath, [loader, resolve('bin/meltica.js'), '--version'], {
      encoding: 'utf8',
    })
    expect([status, stdout, stderr]).to.deep.equal([1, '', 'meltica needs Node 24 or newer, found v20.11.1\n'])
  })
})
