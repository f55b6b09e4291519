import type { Ending } from './endings';
import type { NativeConnection } from './native';
import type { TLSVerifyCallback, TLSVerifyContext } from './types';
import { CryptoError, isCryptoError, nativeCode } from './native';

/** What the callback is told, without the signal. */
type Circumstances = Omit<TLSVerifyContext, 'signal'>;

/** What the callback is told, with a signal that is made when it asks for it. */
class Context implements TLSVerifyContext {
  readonly side: TLSVerifyContext['side'];
  readonly serverName: TLSVerifyContext['serverName'];
  readonly host: TLSVerifyContext['host'];
  readonly port: TLSVerifyContext['port'];
  readonly #getSignal: () => AbortSignal;

  constructor({ side, serverName, host, port }: Circumstances, getSignal: () => AbortSignal) {
    this.side = side;
    this.serverName = serverName;
    this.host = host;
    this.port = port;
    this.#getSignal = getSignal;
  }

  get signal(): AbortSignal {
    return this.#getSignal();
  }
}

/**
 * Asks the application for its verdict on a peer and settles the handshake by it. Fails closed: a callback that throws,
 * rejects or gives nonsense refuses the peer.
 */
class Verification {
  readonly #handle: NativeConnection;
  /** Made when the application asks for its signal: few do. */
  #controller: AbortController | undefined;
  /** How the connection ended before the verdict. */
  #ending: Ending | undefined;
  #isSettled = false;
  /** What the callback threw. */
  #thrown: unknown;

  /** `onSettled` is called when the handshake can go on. */
  constructor(
    handle: NativeConnection,
    verify: TLSVerifyCallback,
    ca: Uint8Array[],
    circumstances: Circumstances,
    onSettled: () => void,
  ) {
    this.#handle = handle;
    const context = new Context(circumstances, () => this.#signal);
    const conclude = (refusal: number | undefined): void => {
      if (this.#ending !== undefined) return;
      this.#isSettled = true;
      this.#settle(refusal);
      onSettled();
    };
    // Not an async function: the handshake waits for each promise in between.
    new Promise<unknown>((resolve) => resolve(verify(handle.peerCertChain() ?? [], [...ca], context))).then(
      (answer) => conclude(this.#refusalOf(answer)),
      (error: unknown) => {
        this.#thrown = error;
        conclude(CryptoError.BadCertificate);
      },
    );
  }

  /** What the callback threw, or what was wrong with its answer: the cause of the refusal. */
  get thrown(): unknown {
    return this.#thrown;
  }

  /** The connection ended. Whoever still judges it may stop; whoever has judged it isn't told. */
  abort(ending: Ending): void {
    if (this.#isSettled || this.#ending !== undefined) return;
    this.#ending = ending;
    this.#controller?.abort(ending.error);
  }

  get #signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#ending !== undefined) this.#controller.abort(this.#ending.error);
    }
    return this.#controller.signal;
  }

  /** The alert by which an answer refuses the peer; `undefined` trusts it. */
  #refusalOf(answer: unknown): number | undefined {
    if (answer === undefined) return undefined;
    if (isCryptoError(answer)) return answer;
    const kind = typeof answer === 'number' ? `the number ${answer}` : `a value of type ${typeof answer}`;
    this.#thrown = new TypeError(`verifyCallback answered with ${kind}: expected undefined or a CryptoError`);
    return CryptoError.InternalError;
  }

  #settle(refusal: number | undefined): void {
    try {
      this.#handle.settleVerification(refusal === undefined ? undefined : refusal & 0xff);
    } catch (error) {
      // An alert that TLS doesn't know: the peer is refused all the same. Else there is no connection to settle any more.
      if (nativeCode(error) === 'InvalidArgument') this.#handle.settleVerification(CryptoError.InternalError & 0xff);
    }
  }
}

export default Verification;
