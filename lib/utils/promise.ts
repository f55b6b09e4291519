import type { PromiseCancellable, PromiseDeconstructed } from '../types';

/** A promise and its two ends. */
function promise<T = void>(): PromiseDeconstructed<T> {
  let resolveP!: PromiseDeconstructed<T>['resolveP'];
  let rejectP!: PromiseDeconstructed<T>['rejectP'];
  const p = new Promise<T>((resolve, reject) => {
    resolveP = resolve;
    rejectP = reject;
  });
  return { p, resolveP, rejectP };
}

/** Keeps a rejection that nobody awaits from ending the process; whoever awaits it still gets it. */
function quiet<P extends Promise<unknown>>(p: P): P {
  p.catch(() => undefined);
  return p;
}

/** Calls back when a signal aborts, at once if it has; answers how to stop listening. */
function onAbort(signal: AbortSignal | undefined, callback: (reason: unknown) => void): () => void {
  if (signal === undefined) return () => undefined;
  if (signal.aborted) {
    callback(signal.reason);
    return () => undefined;
  }
  const listener = () => callback(signal.reason);
  signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
}

/** What a promise gives, unless the signal aborts first: then its reason. */
async function unlessAborted<T>(p: PromiseLike<T>, signal: AbortSignal | undefined): Promise<T> {
  const { p: aborted, rejectP } = promise<never>();
  const detach = onAbort(signal, rejectP);
  try {
    return await Promise.race([p, aborted]);
  } finally {
    detach();
  }
}

/** A promise with a way to give up. */
class Cancellable<T> extends Promise<T> implements PromiseCancellable<T> {
  /** What is derived from it is a plain promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  #controller: AbortController | undefined;

  /** Runs work that gives up when its controller aborts, which it may do itself. */
  static run<T>(work: (controller: AbortController) => Promise<T>): Cancellable<T> {
    const controller = new AbortController();
    const p = new Cancellable<T>((resolve) => resolve(work(controller)));
    p.#controller = controller;
    return p;
  }

  /** Makes the promise reject with the reason, unless it is settled. */
  cancel(reason?: unknown): void {
    this.#controller?.abort(reason);
  }
}

export { promise, quiet, onAbort, unlessAborted, Cancellable };
