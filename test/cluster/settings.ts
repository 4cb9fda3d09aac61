/**
 * What makes a test of several processes longer, as MELTICA_CHAOS_<NAME> in the environment:
 *
 * - `SEED` repeats a run's market and its harms.
 * - `SECONDS`, `RATE` (events a second), `INSTRUMENTS`: how long, how much.
 * - `STOP_MS` how long a worker stands still, `PAUSE_MS_MAX` the longest pause between two harms, `AT_ONCE_MAX` how many
 *   workers are harmed at a time, `AGAIN_MS_MAX` the bound for p95 of trades flowing again after a kill.
 * - `END_MS_MAX` bounds an end that was asked for, `SILENCE_MS_MAX` the silence of a stream beside a second line.
 * - `WORKERS` and `ROUNDS` of a rolling restart, `KILLS` beside a second line.
 */
export function chaosSetting(name: string, otherwise: number): number {
  return Number(process.env[`MELTICA_CHAOS_${name}`] ?? otherwise)
}
