import { parseArgs } from 'node:util'
import { runChaos } from './chaos.ts'
import { Profile } from './plan.ts'

/** `npm run chaos`: the whole system under random harm, as long as asked for. */
const HELP = `Usage: npm run chaos -- [options]
  --minutes N         how long it is harmed (default 1)
  --seed S            the same seed plans the same harms (default: a random one, printed)
  --profile NAME      ${Object.values(Profile).join(', ')} (default all)
  --every MS          mean time between two harms (default 4000)
  --instruments N     of the simulated market (default 10)
  --rate R            orders a second over all instruments (default 500)`

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string' },
    profile: { type: 'string', default: Profile.All },
    every: { type: 'string', default: '4000' },
    instruments: { type: 'string', default: '10' },
    rate: { type: 'string', default: '500' },
    help: { type: 'boolean', default: false },
  },
})
const profile = Object.values(Profile).find((name) => name === values.profile)
const numbers = [values.minutes, values.every, values.instruments, values.rate, values.seed ?? '1'].map(Number)
if (values.help) console.log(HELP)
else if (profile === undefined || numbers.some((number) => !(number > 0))) {
  console.error(`expected numbers above 0 and one of the profiles, found ${JSON.stringify(values)}\n${HELP}`)
  process.exitCode = 2
} else {
  const [minutes, everyMs, instruments, rate] = numbers as [number, number, number, number]
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed)
  const result = await runChaos({
    ...{ seed, seconds: minutes * 60, everyMs, profile, instruments, rate },
    say: console.log,
  })
  console.log(JSON.stringify(result.figures))
  if (!result.ok) {
    console.error(`FAILED with seed ${seed} after ${result.harms} harms:\n  ${result.wrong.join('\n  ')}`)
    console.error(
      `repeat: npm run chaos -- --minutes ${minutes} --seed ${seed} --profile ${profile} --every ${everyMs} --instruments ${instruments} --rate ${rate}`,
    )
    process.exitCode = 1
  } else console.log(`nothing lost, repeated, misplaced or untold: ${result.harms} harms, seed ${seed}`)
}
