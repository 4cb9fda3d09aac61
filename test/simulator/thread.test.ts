import { expect } from 'chai'
import { UnavailableError, UsageError } from '../../src/errors.ts'
import { startSimulatorThread } from '../../src/simulator/thread.ts'
import { CaptureMaker, closeAll, range, until, VenueClient } from './venue-client.ts'

describe('the simulated venue in its own thread', () => {
  afterEach(closeAll)

  it('serves, tells its state and when it is done, and closes', async () => {
    const file = new CaptureMaker().trades('abtc', 1, 100).write()
    const venue = await startSimulatorThread({ replay: { file, speed: 'max' } })
    const client = await VenueClient.open(`${venue.ws}/stream?streams=abtc@trade`)
    await venue.done
    await until(() => client.frames.length === 100)
    expect(client.tradeIds).to.deep.equal(range(1, 100))
    expect((await venue.state()).source).to.include({ kind: 'replay', stage: 'ended', emitted: 100 })
    await venue.close()
    await until(() => client.closed !== null)
    await venue.close()
  })

  it('fails to start with the errors of the venue itself', async () => {
    const absent = await startSimulatorThread({ replay: { file: '/nowhere/capture' } }).catch((error: Error) => error)
    expect(absent).to.be.instanceOf(UnavailableError)
    expect((absent as Error).message).to.include('/nowhere/capture cannot be read')
    const file = new CaptureMaker().write()
    const empty = await startSimulatorThread({ replay: { file } }).catch((error: Error) => error)
    expect(empty).to.be.instanceOf(UsageError)
  })
})
