import type { Ending } from './endings';
import type { PathStats } from './native';
import { Outcome } from './utils/promise';
import { onTimeout } from './utils/timer';

/** RFC 9000 §18.2: what a peer may hold an acknowledgement back, in milliseconds. */
const MAX_ACK_DELAY = 25;

/** Whether the peer has accepted us, and what waits for it. */
class Confirmation {
  readonly #told = new Outcome();
  #isDone = false;
  #proceed: (() => void) | undefined;
  #stopWaiting: (() => void) | undefined;

  /** Resolves when the peer has accepted us; rejects with the connection's error. */
  get p(): Promise<void> {
    return this.#told.p;
  }

  done(): void {
    this.#isDone = true;
    this.#told.resolve();
    this.#proceed?.();
  }

  fail(ending: Ending): void {
    this.#told.reject(() => ending.error);
  }

  /** Calls back when the peer has accepted us, or after three probe timeouts (RFC 9002 §6.2.1). At most one waits. */
  whenDone(path: PathStats | undefined, proceed: () => void): void {
    this.#proceed = () => {
      this.cancel();
      proceed();
    };
    if (this.#isDone) this.#proceed();
    else this.#stopWaiting = onTimeout(3 * probeTimeout(path), this.#proceed);
  }

  /** There is nothing to wait for any more. */
  cancel(): void {
    this.#stopWaiting?.();
    this.#proceed = undefined;
  }
}

function probeTimeout(path: PathStats | undefined): number {
  return path === undefined ? 0 : path.rtt + Math.max(4 * path.rttvar, 1) + MAX_ACK_DELAY;
}

export default Confirmation;
