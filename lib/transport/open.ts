import type { DrivingTransport, Transport, TransportOptions } from './Transport';
import DescriptorTransport from './descriptor';
import DgramTransport from './dgram';

/** `'auto'`: the fast one where the system has it. `'portable'`: all datagrams through `node:dgram`. */
type TransportChoice = 'auto' | 'portable';

/** Binds a socket, the best there is. Rejects with the system's error. */
function openTransport(options: TransportOptions, choice: TransportChoice): Promise<Transport | DrivingTransport> {
  const fast = choice === 'portable' || !hasLibuv() ? undefined : DescriptorTransport.open(options);
  return fast === undefined ? DgramTransport.open(options) : Promise.resolve(fast);
}

/** Bun exports libuv's functions, but ends the process when one is called that it doesn't have. */
function hasLibuv(): boolean {
  return process.versions['bun'] === undefined;
}

/** What is chosen for those who don't: by the environment variable `POLYKEY_QUIC_TRANSPORT`, else `'auto'`. */
function defaultTransport(): TransportChoice {
  return process.env['POLYKEY_QUIC_TRANSPORT'] === 'portable' ? 'portable' : 'auto';
}

export type { TransportChoice };
export { defaultTransport, openTransport };
