type Status = 'stopped' | 'starting' | 'running' | 'stopping';

const next: Record<Status, readonly Status[]> = {
  stopped: ['starting'],
  starting: ['running', 'stopped'],
  running: ['stopping'],
  stopping: ['stopped', 'running'],
};

/**
 * What can be started and stopped, again and again, in any order and from several places at once: starting what runs,
 * or stopping what is stopped, does nothing; what is under way is waited for.
 */
class Lifecycle {
  #status: Status = 'stopped';
  #pending: Promise<void> = Promise.resolve();

  get status(): Status {
    return this.#status;
  }

  /** Starts; when `work` fails it stays stopped. */
  async start(work: () => Promise<void>): Promise<void> {
    while (this.#status === 'stopping') await this.#settled();
    if (this.#status === 'running') return;
    if (this.#status === 'stopped') this.#pending = this.#run('starting', work, 'running', 'stopped');
    return this.#pending;
  }

  /** Stops; when `work` fails it goes on running. */
  async stop(work: () => Promise<void>): Promise<void> {
    while (this.#status === 'starting') await this.#settled();
    if (this.#status === 'stopped') return;
    if (this.#status === 'running') this.#pending = this.#run('stopping', work, 'stopped', 'running');
    return this.#pending;
  }

  async #run(during: Status, work: () => Promise<void>, after: Status, failed: Status): Promise<void> {
    this.#advance(during);
    try {
      await work();
      this.#advance(after);
    } catch (error) {
      this.#advance(failed);
      throw error;
    }
  }

  #settled(): Promise<void> {
    return this.#pending.catch(() => undefined);
  }

  #advance(to: Status): void {
    if (!next[this.#status].includes(to)) throw new Error(`${this.#status} can't become ${to}`);
    this.#status = to;
  }
}

export default Lifecycle;
