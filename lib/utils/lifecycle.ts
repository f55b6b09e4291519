import { promise } from './promise';

type Status = 'stopped' | 'starting' | 'running' | 'stopping';

const next: Record<Status, readonly Status[]> = {
  stopped: ['starting'],
  starting: ['running', 'stopped'],
  running: ['stopping'],
  stopping: ['stopped', 'running'],
};

/** What is asked for: the state it leads through, to, and from. */
type Step = { readonly during: Status; readonly to: Status; readonly from: Status };

const START: Step = { during: 'starting', to: 'running', from: 'stopped' };
const STOP: Step = { during: 'stopping', to: 'stopped', from: 'running' };

/**
 * What can be started and stopped, again and again, in any order and from several places at once: starting what runs,
 * or stopping what is stopped, does nothing; what is under way is waited for, and the last call wins.
 */
class Lifecycle {
  #status: Status = 'stopped';
  /** What was asked for last, until it is done. */
  #latest: { step: Step; done: Promise<void> } | undefined;

  get status(): Status {
    return this.#status;
  }

  /** Starts; when `work` fails it stays stopped. */
  start(work: () => Promise<void>): Promise<void> {
    return this.#ask(START, work);
  }

  /** Stops; when `work` fails it goes on running. */
  stop(work: () => Promise<void>): Promise<void> {
    return this.#ask(STOP, work);
  }

  #ask(step: Step, work: () => Promise<void>): Promise<void> {
    if (this.#latest?.step === step) return this.#latest.done;
    const before = this.#latest?.done;
    const { p, resolveP, rejectP } = promise();
    // Set before it runs: what is told in it may ask for the opposite.
    const latest = { step, done: p };
    this.#latest = latest;
    const forget = (): void => {
      if (this.#latest === latest) this.#latest = undefined;
    };
    p.then(forget, forget);
    this.#run(step, work, before).then(resolveP, rejectP);
    return p;
  }

  async #run({ during, to, from }: Step, work: () => Promise<void>, before: Promise<void> | undefined): Promise<void> {
    if (before !== undefined) await before.catch(() => undefined);
    if (this.#status !== from) return;
    this.#advance(during);
    try {
      await work();
      this.#advance(to);
    } catch (error) {
      this.#advance(from);
      throw error;
    }
  }

  #advance(to: Status): void {
    if (!next[this.#status].includes(to)) throw new Error(`${this.#status} can't become ${to}`);
    this.#status = to;
  }
}

export default Lifecycle;
