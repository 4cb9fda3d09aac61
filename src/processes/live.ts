import { type LiveModel, renderLine, renderScreen } from './live-view.ts'

/** How the model is shown: in place on a terminal, as one plain line, or as one JSON object a line. */
export const LiveForm = {
  Screen: renderScreen,
  Line: renderLine,
  Json: (model: LiveModel) => `${JSON.stringify(model)}\n`,
} as const
export type LiveForm = (typeof LiveForm)[keyof typeof LiveForm]

export interface LiveLoop {
  stop(): void
}

/** Shows the model once a second. A look that fails (Redis is away) skips its turn; two looks never overlap. */
export function runLiveView(look: () => Promise<LiveModel>, write: (text: string) => void, form: LiveForm): LiveLoop {
  let looking = false
  let stopped = false
  const timer = setInterval(async () => {
    if (looking) return
    looking = true
    try {
      const text = form(await look())
      if (!stopped) write(text)
    } catch {
      // The connection reports its own trouble; the view merely misses a second.
    } finally {
      looking = false
    }
  }, 1000)
  timer.unref()
  return {
    stop: () => {
      stopped = true
      clearInterval(timer)
    },
  }
}
