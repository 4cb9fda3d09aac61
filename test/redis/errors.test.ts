import { expect } from 'chai'
import { toBusError } from '../../src/redis/errors.ts'

const errorWith = (message: string, more: object = {}): Error => Object.assign(new Error(message), more)

describe('bus errors', () => {
  it('say by code what Redis or the connection said in words', () => {
    const cases: [string, object, string, boolean, boolean][] = [
      ['LOADING Redis is loading the dataset in memory', {}, 'loading', true, false],
      ["READONLY You can't write against a read only replica.", {}, 'readonly', true, false],
      ["OOM command not allowed when used memory > 'maxmemory'.", {}, 'oom', true, false],
      ['MISCONF Redis is configured to save RDB snapshots', {}, 'misconfigured', true, false],
      ['NOSCRIPT No matching script. Please use EVAL.', {}, 'noscript', true, false],
      ['NOAUTH Authentication required.', {}, 'noauth', false, false],
      ['WRONGPASS invalid username-password pair', {}, 'noauth', false, false],
      ['NOPERM this user has no permissions', {}, 'noperm', false, false],
      ['CLUSTERDOWN The cluster is down', {}, 'moved', true, false],
      ['Command timed out', {}, 'timeout', true, true],
      ["Stream isn't writeable and enableOfflineQueue options is false", {}, 'unreachable', true, false],
      ['Connection is closed.', {}, 'unreachable', true, true],
      ['connect ECONNREFUSED 127.0.0.1:1', { code: 'ECONNREFUSED' }, 'unreachable', true, true],
      [
        'Reached the max retries per request limit (which is 0).',
        { name: 'MaxRetriesPerRequestError' },
        'unreachable',
        true,
        true,
      ],
      ['ERR unknown command', {}, 'other', false, false],
    ]
    for (const [message, more, code, retryable, outcomeUnknown] of cases) {
      expect(toBusError(errorWith(message, more)), message).to.include({ code, retryable, outcomeUnknown })
    }
  })

  it('hold nothing of the command that failed', () => {
    const cause = errorWith('WRONGPASS invalid', { command: { name: 'auth', args: ['hunter2'] } })
    const error = toBusError(cause)
    expect(JSON.stringify([error, error.cause, Object.entries(error.cause as object)])).to.not.contain('hunter2')
    expect(toBusError(error)).to.equal(error)
  })
})
