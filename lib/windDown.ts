import type StreamTable from './StreamTable';
import * as errors from './errors';
import type { StopRequest } from './utils/expect';
import { onAbort, promise } from './utils/promise';
import { onTimeout } from './utils/timer';

/** The waiting of a stop that isn't forced: for the streams to end and be delivered, as long as each call of the stop allows. */
class WindDown {
  readonly #streams: () => StreamTable;
  readonly #over = promise();
  #isOver = false;
  /** What was asked for before the waiting began: the first, and what listeners who were told of that asked for. */
  #early: StopRequest[] | undefined = [];
  /** What else is to be undone at the end. */
  readonly #detach: (() => void)[] = [];

  constructor(streams: () => StreamTable) {
    this.#streams = streams;
  }

  /** Waits; `watch` calls back at the end of each turn, until it is answered true. */
  async wait(watch: (check: () => boolean) => void): Promise<void> {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const request of early) this.limit(request);
    const streams = this.#streams();
    streams.refuseWanted(new errors.ErrorQUICConnectionStopping('The connection is about to end'));
    watch(() => {
      if (!this.#isOver && streams.size === 0 && streams.isDelivered()) this.end();
      return this.#isOver;
    });
    await this.#over.p;
    for (const detach of this.#detach) detach();
  }

  /** Bounds the waiting by what one call of the stop says. */
  limit(request: StopRequest): void {
    if (this.#isOver) return;
    if (this.#early !== undefined) {
      this.#early.push(request);
      return;
    }
    if (isImmediate(request)) {
      this.end();
      return;
    }
    const { force, timeout, signal } = request;
    const reason = new errors.ErrorQUICConnectionStopping();
    if (force) for (const stream of this.#streams().values()) stream.abandon(reason);
    this.#detach.push(onTimeout(timeout, this.end), onAbort(signal, this.end));
  }

  /** Ends the waiting, whatever is left. A field, so that it stays bound. */
  readonly end = (): void => {
    this.#isOver = true;
    this.#early = undefined;
    this.#over.resolveP();
  };
}

/** Whether a stop waits for nothing. */
function isImmediate({ force, flush }: StopRequest): boolean {
  return force && !flush;
}

export { isImmediate };
export default WindDown;
