import type { DrivingTransport, Transport, TransportOptions } from './Transport';
import DgramTransport from './dgram';
import NativeTransport from './native';

/**
 * How datagrams move. `'auto'`: the first of these that works here.
 *
 * | way | where | why |
 * | --- | --- | --- |
 * | by the socket's descriptor | Linux | bursts: many datagrams in one system call, cut and merged by the kernel |
 * | `'portable'` | Node | libuv's sockets, which are Node's own, by the addon: nothing of JavaScript for each datagram |
 * | `'dgram'` | everywhere | `node:dgram`, for runtimes that aren't Node: they have it, and not always libuv |
 *
 * `'portable'` and `'dgram'` begin where they stand in this order.
 */
type TransportChoice = (typeof CHOICES)[number];

const CHOICES = ['auto', 'portable', 'dgram'] as const;

/** Binds a socket, the best there is. Rejects with the system's error. */
function openTransport(options: TransportOptions, choice: TransportChoice): Promise<Transport | DrivingTransport> {
  const native = openNative(options, choice);
  return native === undefined ? DgramTransport.open(options) : Promise.resolve(native);
}

function openNative(options: TransportOptions, choice: TransportChoice): NativeTransport | undefined {
  if (choice === 'dgram' || !hasLibuv()) return undefined;
  const burst = choice === 'auto' ? NativeTransport.open('descriptor', options) : undefined;
  return burst ?? NativeTransport.open('libuv', options);
}

/** Bun exports libuv's functions, but ends the process when one is called that it doesn't have. */
function hasLibuv(): boolean {
  return process.versions['bun'] === undefined;
}

/** What is chosen for those who don't: by the environment variable `POLYKEY_QUIC_TRANSPORT`, else `'auto'`. */
function defaultTransport(): TransportChoice {
  const wanted = process.env['POLYKEY_QUIC_TRANSPORT'];
  return isChoice(wanted) ? wanted : 'auto';
}

function isChoice(choice: unknown): choice is TransportChoice {
  return CHOICES.includes(choice as TransportChoice);
}

export type { TransportChoice };
export { CHOICES, defaultTransport, isChoice, openTransport };
