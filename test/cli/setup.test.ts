import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect } from 'chai'

describe('scripts/setup.sh', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'meltica-setup-'))
    for (const tool of ['dirname', 'mktemp', 'tail', 'rm', 'chmod', 'cat', 'env']) {
      symlinkSync(
        spawnSync('/bin/sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).stdout.trim(),
        join(folder, tool),
      )
    }
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  /** Puts a program on the path that the script sees, and nothing but what is put there is on it. */
  const put = (name: string, body: string): void => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${body}\n`)
    chmodSync(join(folder, name), 0o755)
  }
  const setup = (...args: string[]) => {
    const options = { env: { PATH: folder, PLACE: folder }, encoding: 'utf8' } as const
    const { status, stdout, stderr } = spawnSync('/bin/sh', [resolve('scripts/setup.sh'), ...args], options)
    return { status, out: stdout + stderr }
  }
  const APT =
    'case "$*" in *install*redis-server) printf "#!/bin/sh\\n" > "$PLACE/redis-server"; chmod +x "$PLACE/redis-server";; esac'

  it('is quiet when a redis-server or a valkey-server is there', () => {
    put('valkey-server', '')
    expect(setup()).to.deep.equal({ status: 0, out: '' })
  })

  it('installs one as root with the package manager that is there', () => {
    put('id', 'echo 0')
    put('apt-get', APT)
    const { status, out } = setup()
    expect(out.trim().split('\n')).to.deep.equal([
      'Installing redis-server with the package manager of this machine ...',
    ])
    expect(status).to.equal(0)
    expect(setup()).to.deep.equal({ status: 0, out: '' })
  })

  it('installs one through a sudo that asks for no password', () => {
    put('id', 'echo 1000')
    put('sudo', 'shift; "$@"')
    put('apt-get', APT)
    put('true', 'exit 0')
    expect(setup().status).to.equal(0)
  })

  it('names three ways in one message when it may not install', () => {
    put('id', 'echo 1000')
    put('apt-get', APT)
    const { status, out } = setup()
    expect(status).to.equal(1)
    expect(out).to.contain('Expected redis-server or valkey-server on the PATH, found neither')
    expect(out.match(/^ {2}- /gm)).to.have.length(3)
  })

  it('shows the end of what the package manager said when it failed', () => {
    put('id', 'echo 0')
    put('apt-get', 'echo "no network"; exit 100')
    const { status, out } = setup()
    expect(status).to.equal(1)
    expect(out).to.contain('no network').and.contain('Three ways')
  })

  it('leaves the message to start where a Redis is optional', () => {
    put('id', 'echo 1000')
    expect(setup('--optional')).to.deep.equal({ status: 0, out: '' })
  })
})
