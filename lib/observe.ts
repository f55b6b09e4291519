import type Probing from './probing';
import type { RemoteInfo } from './types';
import { randomBytes } from 'node:crypto';
import * as errors from './errors';
import { isSame } from './probing';
import { onAbort, promise } from './utils/promise';
import { onTimeout } from './utils/timer';

/** How to ask. */
type ObserveOptions = {
  /** Milliseconds after which it is given up; default 5000. */
  timeout?: number;
  /** Gives it up. */
  signal?: AbortSignal;
};

/** Milliseconds between the first two questions; each pause is twice as long as the last. */
const FIRST_INTERVAL = 200;

/** Asks a socket from which address it sees us. Questions and answers may be lost, so it asks again. */
async function observe(probing: Probing, target: RemoteInfo, options: ObserveOptions): Promise<RemoteInfo> {
  const { timeout = 5000, signal } = options;
  signal?.throwIfAborted();
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
