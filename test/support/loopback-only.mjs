/**
 * Keeps tests on this machine. Loaded by mocha's set-up and, through NODE_OPTIONS, by every Node process and worker that
 * a test starts; plain JavaScript so that also an old Node can load it.
 *
 * A connection to anything but loopback or a unix socket throws where it is opened and is remembered in `refused`,
 * because code under test rightly survives failed connections and would hide it.
 */
import net from 'node:net'

/** Hosts that were asked for and refused since the list was last emptied. */
export const refused = []

const isLoopback = (host) =>
  host === 'localhost' || host === '::1' || host === '::ffff:127.0.0.1' || /^127(\.\d{1,3}){3}$/.test(host)

const connect = net.Socket.prototype.connect
net.Socket.prototype.connect = function guarded(...args) {
  const [target] = Array.isArray(args[0]) ? args[0] : args
  const options = typeof target === 'object' && target !== null ? target : { port: target, host: args[1] }
  const isPath = options.path !== undefined && options.path !== null && options.port === undefined
  const isPipe = typeof target === 'string' && Number.isNaN(Number(target))
  const host = typeof options.host === 'string' ? options.host : 'localhost'
  if (!isPath && !isPipe && !isLoopback(host)) {
    refused.push(`${host}:${options.port}`)
    throw new Error(`expected a connection on this machine, found ${host}:${options.port}`)
  }
  return connect.apply(this, args)
}
