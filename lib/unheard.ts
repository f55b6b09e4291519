import type QUICStream from './QUICStream';

/** Tells of the streams that a peer opens, as soon as anybody listens, in the order in which they came. */
class Unheard {
  readonly #isHeard: () => boolean;
  readonly #tell: (stream: QUICStream) => void;
  /** Those that came before anybody listened, and that haven't ended: no more than the peer has credit for. */
  #streams: Set<QUICStream> | undefined;

  constructor(isHeard: () => boolean, tell: (stream: QUICStream) => void) {
    this.#isHeard = isHeard;
    this.#tell = tell;
  }

  /** A stream has come. */
  announce(stream: QUICStream): void {
    if (this.#streams === undefined && this.#isHeard()) this.#tell(stream);
    else (this.#streams ??= new Set()).add(stream);
  }

  /** Somebody may listen now. */
  onListener(): void {
    if (this.#streams === undefined || !this.#isHeard()) return;
    // Not now: whoever listens goes on first.
    queueMicrotask(() => {
      const streams = [...(this.#streams ?? [])];
      this.#streams = undefined;
      for (const stream of streams) this.#tell(stream);
    });
  }

  /** A stream has ended. */
  forget(stream: QUICStream): void {
    this.#streams?.delete(stream);
  }

  /** The connection has ended. */
  clear(): void {
    this.#streams = undefined;
  }
}

export default Unheard;
