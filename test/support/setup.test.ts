import { spawnSync } from 'node:child_process'
import net from 'node:net'
import { expect } from 'chai'
import { refused } from './loopback-only.mjs'

describe('the guard of the tests', () => {
  it('refuses a connection off this machine and remembers it', () => {
    expect(() => net.connect({ host: '192.0.2.1', port: 443 })).to.throw('expected a connection on this machine')
    expect(refused.splice(0)).to.deep.equal(['192.0.2.1:443'])
  })

  it('lets a connection to loopback through', (done) => {
    const server = net
      .createServer((socket) => socket.end())
      .listen(0, '127.0.0.1', () => {
        const { port } = server.address() as net.AddressInfo
        net
          .connect(port, '127.0.0.1')
          .on('close', () => server.close(() => done()))
          .resume()
      })
  })

  it('guards the Node processes that a test starts', () => {
    const code = `require('node:net').connect(443, '192.0.2.1')`
    const child = spawnSync(process.execPath, ['-e', code], { encoding: 'utf8' })
    expect(child.status).to.equal(1)
    expect(child.stderr).to.contain('expected a connection on this machine, found 192.0.2.1:443')
  })
})
