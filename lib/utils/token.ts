import type { Host, QUICServerCrypto } from '../types';
import QUICConnectionId from '../QUICConnectionId';

// Kept for programs written for `@matrixai/quic`: our own Retry tokens are made by the addon.

/** What a token says. */
type Claim = { dcid: string; host: string };

/** A token that says which connection id a host had first, signed by the application. */
async function mintToken(dcid: QUICConnectionId, peerHost: Host, crypto: QUICServerCrypto): Promise<Buffer> {
  const claim: Claim = { dcid: dcid.toString(), host: peerHost };
  const message = Buffer.from(JSON.stringify(claim));
  const signature = Buffer.from(await crypto.ops.sign(exact(crypto.key), exact(message)));
  return Buffer.from(JSON.stringify({ msg: message.toString('base64url'), sig: signature.toString('base64url') }));
}

/** The connection id that a token names, if it is ours and the host's. */
async function validateToken(
  token: Buffer,
  peerHost: Host,
  crypto: QUICServerCrypto,
): Promise<QUICConnectionId | undefined> {
  const outer = parse(token);
  if (typeof outer?.['msg'] !== 'string' || typeof outer['sig'] !== 'string') return undefined;
  const message = Buffer.from(outer['msg'], 'base64url');
  const signature = Buffer.from(outer['sig'], 'base64url');
  const isOurs = await crypto.ops.verify(exact(crypto.key), exact(message), exact(signature));
  const claim = isOurs ? parse(message) : undefined;
  if (claim?.['host'] !== peerHost || typeof claim['dcid'] !== 'string') return undefined;
  return QUICConnectionId.fromString(claim['dcid']);
}

function parse(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Bytes as an ArrayBuffer that holds nothing else. */
function exact(bytes: ArrayBuffer | Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

export { mintToken, validateToken };
