import { type LiveModel, renderLine, renderScreen } from '../cli/live-view.ts'

export interface LiveLoop {
  stop(): void
}

/**
 * Draws the model once a second: in place on a terminal, as one plain line otherwise. A look that fails (Redis is away)
 * skips its turn; two looks never overlap.
 */
export function runLiveView(
  look: () => Promise<LiveModel>,
  write: (text: string) => void,
  terminal: boolean,
): LiveLoop {
  let looking = false
  const timer = setInterval(async () => {
    if (looking) return
    looking = true
    try {
      const model = await look()
      write(terminal ? renderScreen(model) : renderLine(model))
    } catch {
      // The connection reports its own trouble; the view merely misses a second.
    } finally {
      looking = false
    }
  }, 1000)
  timer.unref()
  return { stop: () => clearInterval(timer) }
}
