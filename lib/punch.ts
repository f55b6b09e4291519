import { randomBytes } from 'node:crypto';

/** RFC 9443: 4 to 15 belong to no protocol that shares ports with QUIC, so that nobody takes a punch for a packet. */
const FIRST_BYTE = 0x0c;

const NONCE_BYTES = 16;

/** A packet that opens a NAT for its answer, and says nothing else. */
function makePunch(nonce: Uint8Array = randomBytes(NONCE_BYTES)): { packet: Uint8Array; nonce: Uint8Array } {
  if (nonce.byteLength !== NONCE_BYTES) throw new RangeError(`a punch nonce has ${NONCE_BYTES} bytes`);
  const packet = new Uint8Array(1 + NONCE_BYTES);
  packet[0] = FIRST_BYTE;
  packet.set(nonce, 1);
  return { packet, nonce };
}

/** The nonce of a punch packet; `null` for any other datagram. */
function readPunch(data: Uint8Array): Uint8Array | null {
  const isPunch = data.byteLength === 1 + NONCE_BYTES && data[0] === FIRST_BYTE;
  return isPunch ? data.subarray(1) : null;
}

export { makePunch, readPunch };
