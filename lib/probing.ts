import type { Endpoint, Heard } from './native';
import type { Host, Port, RemoteInfo } from './types';
import * as errors from './errors';

/** What a probe hears. */
type ProbeListener = {
  /** An answer to a probe with the nonce. */
  onAnswer(from: RemoteInfo, observed: RemoteInfo): void;
  /** Somebody punches, perhaps by another nonce. */
  onPunch?(from: RemoteInfo, nonce: Uint8Array): void;
  /** Anything came from a watched address. */
  onAnything?(from: RemoteInfo): void;
  /** The socket is stopped. */
  onStopped(error: Error): void;
};

/** Sends probes of one started socket, and tells their senders what comes back. */
class Probing {
  readonly #endpoint: Endpoint;
  readonly #wake: () => void;
  readonly #listeners = new Map<string, ProbeListener>();
  #isClosed = false;

  constructor(endpoint: Endpoint, wake: () => void) {
    this.#endpoint = endpoint;
    this.#wake = wake;
  }

  /**
   * Listens by a nonce; answers how to stop.
   *
   * @throws {errors.ErrorQUICSocketNotRunning} the socket was stopped
   * @throws {RangeError} the nonce has another length than 16 bytes, or is in use
   */
  listen(nonce: Uint8Array, listener: ProbeListener): () => void {
    if (this.#isClosed) throw wasStopped();
    if (nonce.byteLength !== 16) throw new RangeError(`a nonce has 16 bytes, not ${nonce.byteLength}`);
    const id = idOf(nonce);
    if (this.#listeners.has(id))
      throw new RangeError('this nonce is in use: each punch of a socket has one of its own');
    this.#listeners.set(id, listener);
    this.#endpoint.expectProbe(nonce);
    // Who was heard already is told with the end of this turn.
    this.#wake();
    return () => {
      if (this.#listeners.delete(id)) this.#endpoint.forgetProbe(nonce);
    };
  }

  /** Asks the peer's NAT, and our own, for a way. Sent with the end of this turn. */
  sendPunch(nonce: Uint8Array, { host, port }: RemoteInfo): void {
    this.#endpoint.sendPunch(nonce, host, port);
    this.#wake();
  }

  /** Asks from where we are seen. */
  sendQuestion(nonce: Uint8Array, { host, port }: RemoteInfo): void {
    this.#endpoint.sendQuestion(nonce, host, port);
    this.#wake();
  }

  /** Counts any datagram from this address as heard, once. */
  watch({ host, port }: RemoteInfo): void {
    this.#endpoint.watch(host, port);
  }

  unwatch({ host, port }: RemoteInfo): void {
    this.#endpoint.unwatch(host, port);
  }

  /** Something was heard. */
  onHeard(): void {
    for (let heard = this.#endpoint.takeHeard(); heard !== null; heard = this.#endpoint.takeHeard()) this.#tell(heard);
  }

  /** The socket stops: nothing more is sent or heard. */
  close(): void {
    this.#isClosed = true;
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    for (const listener of listeners) listener.onStopped(wasStopped());
  }

  #tell({ nonce, host, port, observed }: Heard): void {
    const from = toRemoteInfo({ host, port });
    // A listener may stop listening.
    const listeners = [...this.#listeners.values()];
    if (nonce === undefined) for (const listener of listeners) listener.onAnything?.(from);
    else if (observed === undefined) for (const listener of listeners) listener.onPunch?.(from, nonce);
    else this.#listeners.get(idOf(nonce))?.onAnswer(from, toRemoteInfo(observed));
  }
}

function wasStopped(): errors.ErrorQUICSocketNotRunning {
  return new errors.ErrorQUICSocketNotRunning('The socket was stopped');
}

function toRemoteInfo({ host, port }: { host: string; port: number }): RemoteInfo {
  return { host: host as Host, port: port as Port };
}

/** The text by which a nonce is found again. */
function idOf(nonce: Uint8Array): string {
  return Buffer.from(nonce.buffer, nonce.byteOffset, nonce.byteLength).toString('latin1');
}

/** Whether two addresses are one. */
function isSame(a: RemoteInfo, b: RemoteInfo): boolean {
  return a.host === b.host && a.port === b.port;
}

export type { ProbeListener };
export { isSame };
export default Probing;
