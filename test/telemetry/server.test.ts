import { expect } from 'chai'
import { UnavailableError } from '../../src/errors.ts'
import { type Readiness, startTelemetryServer, type TelemetryServer } from '../../src/telemetry/server.ts'

describe('the telemetry server', () => {
  let server: TelemetryServer | null = null
  let readiness: Readiness = { ready: true, reasons: [] }
  beforeEach(async () => {
    server = await startTelemetryServer('127.0.0.1:0', () => readiness)
  })
  afterEach(() => server?.close())

  it('serves every metric with its unit, those of the process too', async () => {
    const response = await fetch(`${server?.url}/metrics`)
    expect(response.headers.get('content-type')).to.contain('text/plain')
    const text = await response.text()
    expect(text).to.contain('meltica_socket_to_append_seconds_bucket')
    expect(text).to.contain('process_resident_memory_bytes')
  })

  it('is alive whenever it answers, and ready when it is said to be', async () => {
    expect((await fetch(`${server?.url}/livez`)).status).to.equal(200)
    expect((await fetch(`${server?.url}/readyz`)).status).to.equal(200)
    readiness = { ready: false, reasons: ['Redis cannot be reached'] }
    const response = await fetch(`${server?.url}/readyz`)
    expect(response.status).to.equal(503)
    expect(await response.json()).to.deep.equal(readiness)
  })

  it('refuses other paths and methods', async () => {
    expect((await fetch(`${server?.url}/`)).status).to.equal(404)
    expect((await fetch(`${server?.url}/metrics`, { method: 'POST' })).status).to.equal(405)
  })

  it('names the setting when its port is taken', async () => {
    const taken = new URL(server?.url ?? '').host
    const error = await startTelemetryServer(taken, () => readiness).catch((caught: unknown) => caught)
    expect(error).to.be.instanceOf(UnavailableError)
    expect((error as Error).message).to.contain(`telemetry.listen: expected to listen on ${taken}, found it taken`)
  })

  it('is off when told so', async () => {
    expect(await startTelemetryServer('off', () => readiness)).to.equal(null)
  })
})
