import type { Endpoint } from '../native';
import type { Datagram, Transport, TransportSink } from './Transport';
import { resolved } from '../utils/promise';
import { LONGEST_DELAY } from '../utils/timer';

/**
 * Runs the turns of an endpoint over its transport: take in what came, tell what changed, let everybody react, send and set
 * the timer, again and again until nothing more has changed.
 */
interface Turns {
  /**
   * Something may want to be sent: it is, after the promises and ticks that are due, and before the event loop waits. Native
   * turns send what was written outside of them at that moment only: immediates may run before.
   */
  wake(): void;
  /** Sends now what wants to be sent, as far as it goes. */
  flush(): void;
  /** Whether to tell of the end of each turn, and of one that comes soon. */
  setWatched(isWatched: boolean): void;
  /** Whether it keeps the process alive. */
  setReferenced(isReferenced: boolean): void;
  /** No more turns. */
  stop(): void;
}

/** What is told in a turn. */
interface TurnSink {
  /** So many records of changes have been written. */
  onChanges(count: number): void;
  /** Nothing more has changed. */
  onSettled(): void;
  /** The socket is dead. */
  onDead(error: Error): void;
}

/** Turns by the timers and ticks of JavaScript, for a transport that has no other. */
class ScriptedTurns implements Turns, TransportSink {
  readonly #endpoint: Endpoint;
  readonly #transport: Transport;
  readonly #sink: TurnSink;
  #isWatched = false;
  #isStopped = false;
  #isWoken = false;
  #isReferenced = true;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires, by `performance.now()`. */
  #timerAt = Infinity;

  constructor(endpoint: Endpoint, transport: Transport, sink: TurnSink) {
    this.#endpoint = endpoint;
    this.#transport = transport;
    this.#sink = sink;
    transport.start(this);
  }

  /** Flushes once. A microtask comes after the promises resolved so far, and the tick it asks for after whatever those do. */
  wake(): void {
    if (this.#isWoken || this.#isStopped) return;
    this.#isWoken = true;
    void resolved.then(this.#endTurnNextTick);
  }

  flush(): void {
    this.#transport.flush(this.#endpoint);
  }

  setWatched(isWatched: boolean): void {
    this.#isWatched = isWatched;
    if (isWatched) this.wake();
  }

  setReferenced(isReferenced: boolean): void {
    this.#isReferenced = isReferenced;
    this.#transport.setReferenced(isReferenced);
    if (isReferenced) this.#timer?.ref();
    else this.#timer?.unref();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  onReceivable(first: Datagram | null): void {
    this.#tell(this.#transport.receive(this.#endpoint, first));
    this.wake();
  }

  onUnblocked(): void {
    this.wake();
  }

  onDead(error: Error): void {
    this.#sink.onDead(error);
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    this.#timerAt = Infinity;
    if (this.#endpoint.timeout() > 0) {
      this.#setTimer();
      return;
    }
    this.#tell(this.#endpoint.onTimeout());
    this.wake();
  };

  readonly #endTurnNextTick = (): void => {
    process.nextTick(this.#endTurn);
  };

  readonly #endTurn = (): void => {
    this.#isWoken = false;
    if (this.#isStopped) return;
    this.flush();
    const count = this.#endpoint.takeChanges();
    this.#tell(count);
    if (count === 0 && this.#isWatched) this.#sink.onSettled();
    this.#setTimer();
  };

  /** If there are more, they are told of after a flush. */
  #tell(count: number): void {
    if (count === 0) return;
    this.#sink.onChanges(count);
    this.wake();
  }

  /** Sees to it that a timer fires when the endpoint wants; one that fires too early does no harm. */
  #setTimer(): void {
    const ms = this.#isStopped ? -1 : this.#endpoint.timeout();
    if (ms < 0) return;
    const at = performance.now() + ms;
    if (this.#timer !== undefined && this.#timerAt <= at) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onTimer, Math.min(ms, LONGEST_DELAY));
    this.#timerAt = at;
    if (!this.#isReferenced) this.#timer.unref();
  }
}

export type { TurnSink, Turns };
export { ScriptedTurns };
