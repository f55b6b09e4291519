import type { Host } from './types';
import { isIPv4 } from './utils/address';
import { Abort, type Abortable, onAbort, promise } from './utils/promise';
import { onTimeout } from './utils/timer';

/** RFC 8305 §8, the Connection Attempt Delay: milliseconds that an attempt is given before the next one begins. */
const ATTEMPT_DELAY_MS = 250;

/** How to try one of several addresses. */
type Attempt<T> = {
  /** When the signal aborts it has to reject, and to leave nothing behind. */
  start: (host: Host, signal: Abortable) => Promise<T>;
  /** Takes back a success for which another attempt was too fast. */
  discard: (late: T) => void;
};

/**
 * Tries the addresses of one name without waiting for each to fail (RFC 8305 §5, Happy Eyeballs): the next attempt begins
 * after 250 ms, or at once when the last one has failed. The families take turns, that of the first address first (§4). The
 * first success wins, and ends the others.
 *
 * When the signal aborts, or there is nothing left to try, it rejects after all attempts are over: with the signal's
 * reason, or with an `AggregateError` of what they failed with; a single attempt's failure is its own.
 */
function tryInTurn<T>(hosts: readonly Host[], attempt: Attempt<T>, signal: Abortable = new Abort()): Promise<T> {
  // Most names, and all addresses: nothing to take turns with.
  return hosts.length === 1 && !signal.aborted ? attempt.start(hosts[0], signal) : race(hosts, attempt, signal);
}

async function race<T>(hosts: readonly Host[], { start, discard }: Attempt<T>, signal: Abortable): Promise<T> {
  signal.throwIfAborted();
  const winner = promise<T>();
  const over = new Abort();
  const detach = onAbort(signal, (reason) => over.abort(reason));
  let hasWinner = false;
  const failures: unknown[] = [];
  const attempt = async (host: Host): Promise<void> => {
    try {
      const success = await start(host, over);
      if (hasWinner) discard(success);
      else winner.resolveP(success);
      hasWinner = true;
      over.abort();
    } catch (error) {
      failures.push(error);
    }
  };
  void attemptAll(interleave(hosts), attempt, over).then(() => {
    detach();
    winner.rejectP(signal.aborted ? signal.reason : new AggregateError(failures, 'No attempt succeeded'));
  });
  return winner.p;
}

/** Begins the attempts one after the other, and waits until all are over. */
async function attemptAll(hosts: Host[], attempt: (host: Host) => Promise<void>, over: Abortable): Promise<void> {
  const attempts: Promise<void>[] = [];
  for (const host of hosts) {
    if (over.aborted) break;
    const latest = attempt(host);
    attempts.push(latest);
    if (attempts.length < hosts.length) await hadItsTime(latest, over);
  }
  await Promise.all(attempts);
}

/** Resolves when an attempt is over, or the next one may begin. */
async function hadItsTime(attempt: Promise<void>, over: Abortable): Promise<void> {
  const { p, resolveP } = promise();
  const detach = [onTimeout(ATTEMPT_DELAY_MS, resolveP), onAbort(over, () => resolveP())];
  void attempt.then(resolveP);
  await p;
  for (const stop of detach) stop();
}

/** Each address once, the families by turns. */
function interleave(hosts: readonly Host[]): Host[] {
  const all = [...new Set(hosts)];
  const [first = ''] = all;
  const preferred = all.filter((host) => isIPv4(host) === isIPv4(first));
  const others = all.filter((host) => isIPv4(host) !== isIPv4(first));
  return all.flatMap((_, index) => [...preferred.slice(index, index + 1), ...others.slice(index, index + 1)]);
}

export default tryInTurn;
