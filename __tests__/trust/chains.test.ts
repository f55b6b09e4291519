import type { QUICClientConfigInput, TLSVerifyCallback } from '../../lib';
import { QUICClient, QUICServer, events, native } from '../../lib';
import type { Algorithm, Credentials } from '../helpers/certificates';
import { createChain } from '../helpers/certificates';
import { nextEvent } from '../helpers/pair';

const { ConnectionErrorCode, CryptoError } = native;

const chainOf = (length: number, padding = 0) =>
  createChain(
    Array.from({ length }, (_, i): Algorithm => (i % 2 === 0 ? 'Ed25519' : 'P-256')),
    padding,
  );

/** Both ends show a chain, and judge what they see. */
async function meet(mine: Credentials, theirs: Credentials, judge: TLSVerifyCallback = () => undefined) {
  const seen: { client?: Uint8Array[]; server?: Uint8Array[] } = {};
  const config = (own: Credentials): QUICClientConfigInput & Credentials => ({
    ...own,
    verifyPeer: true,
    verifyCallback: (certs, ca, context) => {
      seen[context.side] = certs;
      return judge(certs, ca, context);
    },
  });
  const server = new QUICServer({ config: config(theirs) });
  await server.start({ host: '127.0.0.1' });
  const options = { host: '127.0.0.1', port: server.port, localHost: '127.0.0.1', config: config(mine) };
  const dialled = QUICClient.createQUICClient(options);
  return { dialled, seen, [Symbol.asyncDispose]: () => server.stop() };
}

test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])(
  'a chain of %i certificates is shown whole, to both sides',
  async (length) => {
    await using met = await meet(chainOf(length), chainOf(length));
    await using client = await met.dialled;
    await client.connection.confirmed;
    expect(met.seen.server).toEqual(client.connection.getLocalCertsChain());
    expect(met.seen.client).toEqual(client.connection.getRemoteCertsChain());
    expect(met.seen.server).toHaveLength(length);
  },
);

const bytesIn = (chain: Uint8Array[]) => chain.reduce((sum, der) => sum + der.byteLength, 0);

describe('chains beyond 16 KiB span many packets', () => {
  test('and are trusted', async () => {
    await using met = await meet(chainOf(10, 2500), chainOf(10, 2500));
    await using client = await met.dialled;
    await client.connection.confirmed;
    expect(bytesIn(met.seen.server!)).toBeGreaterThan(24 * 1024);
    expect(bytesIn(met.seen.client!)).toBeGreaterThan(24 * 1024);
    expect(client.connection.stats.recv).toBeGreaterThan(20);
    expect(client.connection.stats.sent).toBeGreaterThan(20);
  });

  test.each(['client', 'server'] as const)('and are refused by the %s', async (side) => {
    const judge: TLSVerifyCallback = (_certs, _ca, context) =>
      context.side === side ? CryptoError.UnknownCA : undefined;
    await using met = await meet(chainOf(10, 2500), chainOf(10, 2500), judge);
    if (side === 'client') {
      await expect(met.dialled).rejects.toMatchObject({ data: { errorCode: CryptoError.UnknownCA } });
      return;
    }
    await using client = await met.dialled;
    const { detail } = await nextEvent<events.EventQUICConnectionError>(
      client.connection,
      events.EventQUICConnectionError,
    );
    expect(detail).toMatchObject({ code: 'ConnectionPeerTLS', data: { errorCode: CryptoError.UnknownCA } });
  });
});

// quiche takes 64 KiB of handshake (RFC 9000 §7.5).
test.each(['client', 'server'] as const)('a chain beyond 64 KiB, shown to the %s, ends the handshake', async (side) => {
  const huge = chainOf(25, 3000);
  const small = chainOf(1);
  await using met = await meet(side === 'server' ? huge : small, side === 'client' ? huge : small);
  const data = { isApp: false, errorCode: ConnectionErrorCode.CryptoBufferExceeded };
  if (side === 'client') {
    await expect(met.dialled).rejects.toMatchObject({ code: 'ConnectionLocal', data });
  } else {
    await using client = await met.dialled;
    await expect(client.connection.confirmed).rejects.toMatchObject({ code: 'ConnectionPeer', data });
  }
  expect(met.seen[side]).toBeUndefined();
});
