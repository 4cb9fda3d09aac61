import { type TopicReport, type TopicReports, topicReportSchema } from '../control/contract.ts'
import { asInstrument, asMarket } from '../domain/instrument.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import { Script } from './script.ts'

const reportScript = new Script('control-report-1.lua')

/** Topics of an instrument times the workers that may carry it while reports of gone ones still stand there. */
const REPORTS_MAX = 256

/** What workers say of native topics, one hash an instrument. Throws: BusError. */
export class RedisTopicReports implements TopicReports {
  readonly #connection: RedisConnection
  readonly #keys: Keys

  constructor(connection: RedisConnection, keys: Keys) {
    this.#connection = connection
    this.#keys = keys
  }

  async of(market: string, instrument: string): Promise<readonly TopicReport[]> {
    const flat = (await this.#connection.send('hvals', [this.#key(market, instrument)])) as string[]
    const reports: TopicReport[] = []
    for (const value of flat) {
      // A report of another version is of no use here, and is written anew by its worker.
      const parsed = topicReportSchema.safeParse(jsonOf(value.slice(value.indexOf(' ') + 1)))
      if (parsed.success) reports.push(parsed.data)
    }
    return reports.sort((a, b) => (a.topic === b.topic ? (a.worker < b.worker ? -1 : 1) : a.topic < b.topic ? -1 : 1))
  }

  /** Writes reports of one instrument; each takes the place of the same worker's report of the same topic. */
  async put(market: string, instrument: string, reports: readonly TopicReport[], nowUs: number): Promise<void> {
    const fields = reports.flatMap((report) => [`${report.topic}@${report.worker}`, nowUs, JSON.stringify(report)])
    await reportScript.run(this.#connection, [1, this.#key(market, instrument), REPORTS_MAX, ...fields])
  }

  #key(market: string, instrument: string): string {
    return this.#keys.topicReports(asMarket(market), asInstrument(instrument))
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
