// How a client comes to its connection.

import type { ResolvedConfig } from './config';
import type { NativeConnection } from './native';
import type { Resolved } from './utils/address';
import type {
  Host,
  LoggerLike,
  Port,
  QUICClientConfigInput,
  QUICClientCrypto,
  ResolveHostname,
  StreamCodeToReason,
  StreamReasonToCode,
} from './types';
import { isIP, isIPv4 } from 'node:net';
import { domainToASCII } from 'node:url';
import tryInTurn from './attempts';
import { clientDefault, resolveConfig } from './config';
import * as errors from './errors';
import { toLogger } from './logging';
import { messageOf, nativeCode } from './native';
import QUICConnection from './QUICConnection';
import QUICSocket from './QUICSocket';
import {
  resolveHost,
  resolveHosts,
  resolvesZeroIP,
  toCanonicalIP,
  toPort,
  toResolved,
  validateTargets,
} from './utils/address';
import { isSet } from './utils/expect';
import { type Abortable, unlessAborted } from './utils/promise';

type DialOptions = {
  /**
   * Address or name of the server; `0.0.0.0` and `::` mean this host. Of a name all addresses that the socket reaches are
   * tried, 250 ms apart, the families by turns (RFC 8305): the first complete handshake wins, and the others are given up.
   */
  host: string;
  port: number;
  /** The name or address that the server's certificate should prove; default `host`. */
  serverName?: string;
  /** Accepted, and unused: the addon draws its random bytes from the system. */
  crypto?: QUICClientCrypto;
  config?: QUICClientConfigInput;
  /**
   * Resumes an earlier session with this server: the detail of `EventQUICConnectionSession`. The server is judged all the
   * same, by the chain it showed then; where it doesn't resume, by the one it shows now.
   */
  session?: Uint8Array;
  reuseAddr?: boolean;
  ipv6Only?: boolean;
  resolveHostname?: ResolveHostname;
  reasonToCode?: StreamReasonToCode;
  codeToReason?: StreamCodeToReason;
  logger?: LoggerLike;
};

/** With a socket of its own, bound to `localHost` (default `::`) and `localPort` (default 0), or on a shared one. */
type QUICClientOptions = DialOptions &
  ({ localHost?: string; localPort?: number; socket?: undefined } | { socket: QUICSocket });

/** Whom to dial, checked. */
type Target = { hosts: Resolved[]; port: Port; serverName: string; config: ResolvedConfig };

/** One address that was dialled: of several, `data.attempts` of what the dial rejects with tells. */
type DialAttempt = {
  host: Host;
  port: Port;
  /** Code and message of the error that it ended with. */
  code?: string;
  message?: string;
};

/** What a client is made of. */
type Dialled = { socket: QUICSocket; isSocketShared: boolean; connection: QUICConnection; logger: LoggerLike };

/** Dials, and notes down which addresses were tried. Leaves nothing behind when it fails. */
async function dial(options: QUICClientOptions, signal: Abortable, attempts: DialAttempt[]): Promise<Dialled> {
  const logger = toLogger(options.logger);
  // `null` is none, as elsewhere.
  const shared = options.socket as QUICSocket | null | undefined;
  const isSocketShared = isSet(shared);
  const socket = shared ?? new QUICSocket({ resolveHostname: options.resolveHostname, logger });
  signal.throwIfAborted();
  const target = await resolveTarget(options, socket, signal);
  try {
    if (!isSocketShared) await startOwn(socket, options, signal);
    if (!socket.isRunning) throw new errors.ErrorQUICClientSocketNotRunning('The shared socket is not started');
    signal.throwIfAborted();
    const hosts = validateTargets(socket.host, socket.type, target.hosts, errors.ErrorQUICClientInvalidHost);
    const wanted =
      hosts.length === 1 ? target : { ...target, config: resolveClientConfig(options, { earlyData: false }) };
    const start = (host: Host, over: Abortable): Promise<QUICConnection> => {
      const attempt: DialAttempt = { host, port: target.port };
      attempts.push(attempt);
      return dialOne(() => connect(options, socket, wanted, host), attempt, over);
    };
    const discard = (late: QUICConnection): void => void late.stop();
    const connection = await tryInTurn(hosts, { start, discard }, signal);
    if (connection.closed) throw new errors.ErrorQUICClientSocketNotRunning('The socket was stopped');
    return { socket, isSocketShared, connection, logger };
  } catch (error) {
    if (!isSocketShared) await socket.stop({ force: true });
    throw translate(error, signal, isSocketShared && !socket.isRunning, attempts);
  }
}

/** Resolves when the handshake is complete. */
async function dialOne(start: () => QUICConnection, attempt: DialAttempt, over: Abortable): Promise<QUICConnection> {
  let connection: QUICConnection | undefined;
  try {
    over.throwIfAborted();
    connection = start();
    await unlessAborted(connection.established, over);
    return connection;
  } catch (error) {
    if (!over.aborted) Object.assign(attempt, { code: codeOf(error), message: messageOf(error) });
    await connection?.stop();
    throw error;
  }
}

async function resolveTarget(options: QUICClientOptions, socket: QUICSocket, signal: Abortable): Promise<Target> {
  if (typeof options.host !== 'string') throw new TypeError('host is expected to be a string');
  const port = toPort(options.port);
  if (port === 0) throw new errors.ErrorQUICPortInvalid('nobody can be dialled at port 0');
  const config = resolveClientConfig(options);
  const resolve = options.resolveHostname ?? socket.resolveHostname;
  const { host } = options;
  const hosts = isIP(host) === 0 ? await unlessAborted(resolveHosts(host, resolve), signal) : toResolved(host, [host]);
  return { hosts, port, serverName: toServerName(options.serverName ?? options.host), config };
}

/** Of several addresses the first that answers is wanted: nothing may go early, for it would win without an answer. */
function resolveClientConfig({ config }: QUICClientOptions, changes?: { earlyData: false }): ResolvedConfig {
  return resolveConfig('client', clientDefault, changes === undefined ? (config ?? {}) : { ...config, ...changes });
}

/** A name or an address as certificates have it: names in ASCII. */
function toServerName(name: string): string {
  // Certificates know nothing of the scope of a link-local address, and have each address in one form.
  if (isIP(name) !== 0) return toCanonicalIP(resolvesZeroIP(name.split('%', 1).join() as Host));
  // eslint-disable-next-line no-control-regex -- all of ASCII
  const ascii = /^[\x00-\x7f]*$/.test(name) ? name : domainToASCII(name);
  if (!/^[\w-]+(\.[\w-]+)*\.?$/.test(ascii)) {
    throw new errors.ErrorQUICClientInvalidArgument(`${name} is no name of a server`);
  }
  return ascii;
}

async function startOwn(socket: QUICSocket, options: QUICClientOptions, signal: Abortable): Promise<void> {
  const { localHost, localPort } = options as { localHost?: string; localPort?: number };
  const host = localHost === undefined ? undefined : resolveHost(localHost, socket.resolveHostname);
  await socket.start({
    host: host && (await unlessAborted(host, signal))[0],
    port: localPort,
    reuseAddr: options.reuseAddr,
    ipv6Only: options.ipv6Only,
  });
}

function connect(options: QUICClientOptions, socket: QUICSocket, target: Target, host: Host): QUICConnection {
  const { config, serverName, port } = target;
  const logger = toLogger(options.logger).getChild(QUICConnection.name);
  const { reasonToCode, codeToReason } = options;
  const at = { host: socket.host, port: socket.port };
  // Of IPv6 the addon has the canonical form: there are many ways to write an address.
  const remote = isIPv4(host) ? { host, port } : undefined;
  return socket.dial(config.native, host, port, serverName, (handle, driver) => {
    resume(handle, options.session);
    const parts = { handle, driver, config, local: at, remote, serverName, reasonToCode, codeToReason, logger };
    return new QUICConnection({ type: 'client', ...parts });
  });
}

function resume(handle: NativeConnection, session: Uint8Array | null | undefined): void {
  if (!isSet(session)) return;
  try {
    handle.setSession(session);
  } catch (error) {
    // Nobody owns it yet.
    handle.close(false, 0, new Uint8Array(0));
    throw error;
  }
}

/** What a failed dial rejects with. */
function translate(failure: unknown, signal: Abortable, hasLostSocket: boolean, attempts: DialAttempt[]): unknown {
  if (signal.aborted) return signal.reason;
  const error = failure instanceof AggregateError ? mostTelling(failure.errors) : failure;
  if (hasLostSocket && !(error instanceof errors.ErrorQUICClientSocketNotRunning)) {
    return new errors.ErrorQUICClientSocketNotRunning('The socket was stopped', { cause: error });
  }
  const translated = translateOne(error);
  if (attempts.length > 1 && translated instanceof errors.ErrorQUIC) {
    translated.data = { ...translated.data, attempts };
  }
  return translated;
}

/** Who has answered tells more than who hasn't. */
function mostTelling(failures: unknown[]): unknown {
  const isSilence = (error: unknown): boolean =>
    error instanceof errors.ErrorQUICConnectionStartTimeout || error instanceof errors.ErrorQUICConnectionIdleTimeout;
  return failures.find((error) => !isSilence(error)) ?? failures[0];
}

function translateOne(error: unknown): unknown {
  if (error instanceof errors.ErrorQUICConnectionStartTimeout) {
    return new errors.ErrorQUICClientCreateTimeout(error.message, { cause: error });
  }
  // Host and port were checked before: what the addon refuses now is the server's name, or the session.
  if (nativeCode(error) !== undefined && !(error instanceof errors.ErrorQUIC)) {
    return new errors.ErrorQUICClientInvalidArgument(messageOf(error), { cause: error });
  }
  return error;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof errors.ErrorQUIC ? error.code : nativeCode(error);
}

export type { DialAttempt, Dialled, QUICClientOptions };
export default dial;
