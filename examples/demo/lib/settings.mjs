// Settings that the processes of the demo share.

/** Application protocols (ALPN): who speaks neither is refused in the handshake. */
export const RENDEZVOUS_PROTOCOL = 'demo-rendezvous/1';
export const FILE_PROTOCOL = 'demo-file/1';

/** A NAT forgets a quiet connection after some 30 seconds, so it isn't left quiet for longer than 15. */
export const KEEP_ALIVE = { keepAliveIntervalTime: 15_000, maxIdleTimeout: 45_000 };

/** How long to wait for a punch of the other peer. */
export const PUNCH_MS = 10_000;

/** How long a graceful end may take. */
export const STOP_MS = 2_000;
