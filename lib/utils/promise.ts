import type { PromiseCancellable, PromiseDeconstructed } from '../types';

/** Its reactions are microtasks that cost less than those of `queueMicrotask`, which makes an async resource for each. */
const resolved = Promise.resolve();

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

/** A promise that is made when somebody asks for it, and whose rejection doesn't end the process if nobody awaits it. */
class Outcome {
  #told: PromiseDeconstructed<void> | undefined;
  /** How it came out: well, or with what `reason` gives. */
  #settled: { reason?: () => unknown } | undefined;

  get p(): Promise<void> {
    if (this.#told === undefined) {
      this.#told = promise();
      void quiet(this.#told.p);
      this.#tell();
    }
    return this.#told.p;
  }

  resolve(): void {
    this.#settled ??= {};
    this.#tell();
  }

  reject(reason: () => unknown): void {
    this.#settled ??= { reason };
    this.#tell();
  }

  #tell(): void {
    if (this.#settled === undefined || this.#told === undefined) return;
    const { reason } = this.#settled;
    if (reason === undefined) this.#told.resolveP();
    else this.#told.rejectP(reason());
  }
}

const ignore = (): undefined => undefined;

/** Keeps a rejection that nobody awaits from ending the process; whoever awaits it still gets it. */
function quiet<P extends Promise<unknown>>(p: P): P {
  p.then(undefined, ignore);
  return p;
}

/** A rejection that ends no process, when nobody awaits it. */
function rejected<T>(reason: unknown): Promise<T> {
  // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a reason is the application's
  return quiet(Promise.reject<T>(reason));
}

/** What waiting needs of an `AbortSignal`. */
interface Abortable {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** An `AbortController` and its signal, for our own use: the platform's cost more than all else about a dial's limits. */
class Abort implements Abortable {
  readonly #listeners = new Set<() => void>();
  #isAborted = false;
  #reason: unknown;

  get aborted(): boolean {
    return this.#isAborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  abort(reason: unknown = new DOMException('This operation was aborted', 'AbortError')): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.#reason = reason;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }

  throwIfAborted(): void {
    if (this.#isAborted) throw this.#reason;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.delete(listener);
  }
}

/** Calls back when a signal aborts, at once if it has; answers how to stop listening. */
function onAbort(signal: Abortable | undefined, callback: (reason: unknown) => void): () => void {
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
function unlessAborted<T>(p: Promise<T>, signal: Abortable): Promise<T> {
  return new Promise((resolve, reject) => {
    const detach = onAbort(signal, reject);
    const settle = <A>(end: (outcome: A) => void): ((outcome: A) => void) => {
      return (outcome) => {
        detach();
        end(outcome);
      };
    };
    p.then(settle(resolve), settle(reject));
  });
}

/** A promise with a way to give up. */
class Cancellable<T> extends Promise<T> implements PromiseCancellable<T> {
  /** What is derived from it is a plain promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  #abort: Abort | undefined;

  /** Runs work that gives up when it is told to, which it may do itself. */
  static run<T>(work: (abort: Abort) => Promise<T>): Cancellable<T> {
    const abort = new Abort();
    const p = new Cancellable<T>((resolve, reject) => void work(abort).then(resolve, reject));
    p.#abort = abort;
    return p;
  }

  /** Makes the promise reject with the reason, unless it is settled. */
  cancel(reason?: unknown): void {
    this.#abort?.abort(reason);
  }
}

export type { Abortable };
export { promise, quiet, rejected, resolved, Outcome, Abort, onAbort, unlessAborted, Cancellable };
