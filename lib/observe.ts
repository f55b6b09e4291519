import type Probing from './probing';
import type { Host, Port, RemoteInfo } from './types';
import { randomBytes } from 'node:crypto';
import tryInTurn from './attempts';
import * as errors from './errors';
import { isSame } from './probing';
import { toSignal, toTimeout } from './utils/expect';
import { Abort, type Abortable, onAbort, promise, unlessAborted } from './utils/promise';
import { onTimeout } from './utils/timer';

/** How to ask. */
type ObserveOptions = {
  /** Milliseconds after which it is given up; default 5000. Of a name each address has so long, and the look-up as well. */
  timeout?: number;
  /** Gives it up. */
  signal?: AbortSignal;
};

/** Milliseconds between the first two questions; each pause is twice as long as the last. */
const FIRST_INTERVAL = 200;

/** Asks a socket, at one of its addresses, from which address it sees us. */
async function observe(
  probing: Probing,
  resolve: () => Promise<{ hosts: readonly Host[]; port: Port }>,
  options: ObserveOptions,
): Promise<RemoteInfo> {
  const [timeout, signal] = [toTimeout(options.timeout) ?? 5000, toSignal(options.signal)];
  signal?.throwIfAborted();
  const { hosts, port } = await inTime(resolve, timeout, signal);
  const start = (host: Host, signal: Abortable): Promise<RemoteInfo> => ask(probing, { host, port }, timeout, signal);
  try {
    return await tryInTurn(hosts, { start, discard: () => undefined }, signal);
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  }
}

/** What a look-up finds, unless it takes too long. */
async function inTime<T>(resolve: () => Promise<T>, timeout: number, signal: Abortable | undefined): Promise<T> {
  const over = new Abort();
  const message = `The address to ask wasn't found within ${timeout} ms`;
  const detach = [
    onAbort(signal, (reason) => over.abort(reason)),
    onTimeout(timeout, () => over.abort(new errors.ErrorQUICSocketObserveTimeout(message))),
  ];
  try {
    return await unlessAborted(resolve(), over);
  } finally {
    for (const stop of detach) stop();
  }
}

/** Questions and answers may be lost, so it asks again. */
async function ask(probing: Probing, target: RemoteInfo, timeout: number, signal: Abortable): Promise<RemoteInfo> {
  const { p, resolveP, rejectP } = promise<RemoteInfo>();
  const nonce = randomBytes(16);
  const stopListening = probing.listen(nonce, {
    onAnswer: (from, observed) => {
      if (isSame(from, target)) resolveP(observed);
    },
    onStopped: rejectP,
  });
  const detach = [
    stopListening,
    askRepeatedly(() => probing.sendQuestion(nonce, target)),
    onAbort(signal, rejectP),
    onTimeout(timeout, () => {
      const message = `${target.host} port ${target.port} didn't answer within ${timeout} ms`;
      rejectP(new errors.ErrorQUICSocketObserveTimeout(message));
    }),
  ];
  try {
    return await p;
  } finally {
    for (const stop of detach) stop();
  }
}

/** Answers how to stop. */
function askRepeatedly(ask: () => void): () => void {
  let timer: NodeJS.Timeout;
  const next = (interval: number): void => {
    ask();
    timer = setTimeout(() => next(interval * 2), interval);
  };
  next(FIRST_INTERVAL);
  return () => clearTimeout(timer);
}

export type { ObserveOptions };
export default observe;
