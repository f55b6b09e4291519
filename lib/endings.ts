import type { ChainFailure, NativeConnection } from './native';
import type { ConnectionError } from './types';
import * as errors from './errors';
import { ConnectionErrorCode, CryptoError, isCryptoError } from './native';

type CloseCause = ReturnType<NativeConnection['closeCause']>;

/** Ends after which RFC 9000 §10 lets us send nothing. */
const SILENT: ReadonlySet<CloseCause> = new Set<CloseCause>([
  'Peer',
  'IdleTimeout',
  'StatelessReset',
  'VersionMismatch',
]);

/** RFC 9368 §9: what a client that finds no common version would say. */
const VERSION_NEGOTIATION_ERROR = 0x11;

/**
 * Why a connection ended. The error is made when somebody asks for it: most connections end as they should, and its stack
 * costs more than all else about the end.
 */
class Ending {
  /** Whether nothing more is said to the peer: it has told us, or is gone. */
  readonly isSilent: boolean;
  readonly #at = Date.now();
  readonly #make: () => errors.ErrorQUICConnection;
  #error: errors.ErrorQUICConnection | undefined;

  constructor(make: () => errors.ErrorQUICConnection, isSilent = false) {
    this.#make = make;
    this.isSilent = isSilent;
  }

  /** What the handle of a connection that ended tells. `cause` is what lies behind an end of ours. */
  static of(handle: NativeConnection, cause: unknown): Ending {
    // What ends it later, while it is closing, is not the cause.
    const closeCause = handle.closeCause();
    const hasHeard = closeCause === 'HandshakeTimeout' && handle.stats().recv > 0;
    return new Ending(() => {
      try {
        return errorOfEnd(handle, closeCause, hasHeard, cause);
      } catch (fault) {
        // It failed inside while it was closing, and tells nothing any more.
        return new errors.ErrorQUICConnectionInternal('The connection failed inside', { cause: fault });
      }
    }, SILENT.has(closeCause));
  }

  /** Always the same one. */
  get error(): errors.ErrorQUICConnection {
    if (this.#error === undefined) {
      this.#error = this.#make();
      this.#error.timestamp = new Date(this.#at);
    }
    return this.#error;
  }
}

function errorOfEnd(
  handle: NativeConnection,
  closeCause: CloseCause,
  hasHeard: boolean,
  cause: unknown,
): errors.ErrorQUICConnection {
  switch (closeCause) {
    case 'IdleTimeout':
      return new errors.ErrorQUICConnectionIdleTimeout('Nothing came from the peer for too long');
    case 'HandshakeTimeout':
      return new errors.ErrorQUICConnectionStartTimeout(
        hasHeard
          ? 'The peer answered, but the handshake was not complete in time'
          : 'No answer came in time: nobody listens there, or a NAT or firewall lets nothing through',
      );
    case 'StatelessReset':
      return peer({
        isApp: false,
        errorCode: ConnectionErrorCode.NoError,
        reason: Buffer.from('stateless reset: the peer has lost the connection'),
      });
    case 'VersionMismatch':
      return peer({
        isApp: false,
        errorCode: VERSION_NEGOTIATION_ERROR,
        reason: Buffer.from('the peer speaks no version of QUIC that we speak'),
      });
    case 'Peer':
      return peer(handle.peerError() ?? UNKNOWN);
    case 'Local':
      return local(handle.localError() ?? UNKNOWN, cause, handle.chainFailure());
    case 'MemoryLimit':
      return local({ ...UNKNOWN, reason: Buffer.from('too much received data waits to be read on this socket') });
    case 'Poisoned':
      return new errors.ErrorQUICConnectionInternal('The connection failed inside');
    case 'Released':
    case null:
      return unnamed(handle, cause);
  }
}

/** Without a cause of the endpoint the connection's own words have to do. */
function unnamed(handle: NativeConnection, cause: unknown): errors.ErrorQUICConnection {
  const said = handle.peerError();
  return said !== null ? peer(said) : local(handle.localError() ?? UNKNOWN, cause);
}

const UNKNOWN: ConnectionError = {
  isApp: false,
  errorCode: ConnectionErrorCode.InternalError,
  reason: new Uint8Array(0),
};

/** The error of a connection that the peer closed. */
function peer(data: ConnectionError): errors.ErrorQUICConnectionPeer {
  const { isApp, errorCode, reason } = data;
  if (!isApp && isCryptoError(errorCode)) {
    const message = `The peer refused the handshake: ${nameOf(errorCode)}`;
    return new errors.ErrorQUICConnectionPeerTLS(message, { data: { isApp, errorCode, reason } });
  }
  const message = `The peer closed the connection with ${describe(data)}`;
  return new errors.ErrorQUICConnectionPeer(message, { data: { isApp, errorCode, reason } });
}

/** The error of a connection that we closed; `failure` is what was wrong with the peer's chain. */
function local(
  data: ConnectionError,
  cause?: unknown,
  failure: ChainFailure | null = null,
): errors.ErrorQUICConnectionLocal {
  const { isApp, errorCode, reason } = data;
  if (!isApp && isCryptoError(errorCode)) {
    const message = `We refused the handshake: ${nameOf(errorCode)}`;
    if (failure !== null) {
      const { check, index, subject } = failure;
      const detail = `${message}: ${check}, certificate ${index} (${subject}): ${failure.message}`;
      const data = { isApp, errorCode, reason, chainFailure: failure };
      return new errors.ErrorQUICConnectionLocalTLS(detail, { data, cause });
    }
    return new errors.ErrorQUICConnectionLocalTLS(message, { data: { isApp, errorCode, reason }, cause });
  }
  const message = `We closed the connection with ${describe(data)}`;
  return new errors.ErrorQUICConnectionLocal(message, { data: { isApp, errorCode, reason }, cause });
}

function describe({ isApp, errorCode, reason }: ConnectionError): string {
  const kind = isApp ? 'application' : 'transport';
  const text = Buffer.from(reason).toString('utf8');
  return `${kind} code ${errorCode}${text === '' ? '' : ` (${text})`}`;
}

function nameOf(code: CryptoError): string {
  return `${code in CryptoError ? CryptoError[code] : 'unknown alert'} (${code})`;
}

export { Ending, local };
