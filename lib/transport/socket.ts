/** What all transports over `node:dgram` share. */
import type { Socket } from 'node:dgram';
import type { Host } from '../types';
import type { TransportOptions } from './Transport';
import dgram from 'node:dgram';
import { isIPv4, isIPv6, toIPv4MappedIPv6Dec } from '../utils/address';

/** Errors of receiving that say something about a peer or a route, nothing about the socket. */
const PASSING = new Set(['ECONNREFUSED', 'ECONNRESET', 'EHOSTUNREACH', 'ENETUNREACH', 'EMSGSIZE', 'ENOBUFS', 'ENOMEM']);

function isPassing(error: NodeJS.ErrnoException): boolean {
  return PASSING.has(error.code ?? '');
}

type LookedUp = (error: NodeJS.ErrnoException | null, address: string, family: number) => void;

/** A socket that isn't bound yet. */
function create({ host, reuseAddr, ipv6Only }: TransportOptions): Socket {
  const family = isIPv6(host) ? 6 : 4;
  // All our addresses are literals of its family: nothing to look up, so nothing to wait for, and dgram sends at once.
  const lookup = (literal: string, _options: unknown, callback: LookedUp) => callback(null, literal, family);
  return dgram.createSocket({ type: `udp${family}`, reuseAddr, ipv6Only, lookup });
}

/** Binds it. Rejects with the system's error. */
function bind(socket: Socket, { host, port }: TransportOptions): Promise<void> {
  // Exclusive: workers of a cluster don't share the port, since their endpoints share nothing.
  return listening(socket, { address: host, port, exclusive: true });
}

function listening(socket: Socket, options: dgram.BindOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(options, () => {
      socket.off('error', reject);
      resolve();
    });
  });
}

/** Sends one datagram as it is; rejects with the system's error. */
function send(socket: Socket, bytes: Uint8Array, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(bytes, port, host, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** An address in the form that a socket of this family wants. */
function reach(host: Host, isIPv6Socket: boolean): string {
  return isIPv6Socket && isIPv4(host) ? toIPv4MappedIPv6Dec(host) : host;
}

export type { Socket };
export { bind, create, isPassing, reach, send };
