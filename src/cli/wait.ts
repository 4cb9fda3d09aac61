/** Resolves when the signal is aborted or the time is over; null waits for the signal alone. */
export function untilStopped(signal: AbortSignal, forMs: number | null): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const timer = forMs === null ? undefined : setTimeout(finish, forMs)
    function finish(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', finish)
      resolve()
    }
    signal.addEventListener('abort', finish)
  })
}
