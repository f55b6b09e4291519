// Who reaches whom: each kind of socket that dials, against each kind of target, on IPv4, IPv6 and both.

import os from 'node:os';
import { QUICClient, QUICServer, QUICSocket, errors, events } from '../../lib';
import { authority, nextEvent } from '../helpers/pair';

const interfaces = Object.values(os.networkInterfaces()).flatMap((addresses) => addresses ?? []);
const hasIPv6 = interfaces.some(({ family }) => family === 'IPv6');
/** An address of this host that is not the loopback's, if it has one. */
const outside = interfaces.find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

/** Every bind address of a socket, and the type that it makes. */
const binds = [
  ['127.0.0.1', false, 'ipv4'],
  ['0.0.0.0', false, 'ipv4'],
  ['::ffff:127.0.0.1', false, 'ipv4'],
  ['::1', false, 'ipv6'],
  ['::', true, 'ipv6'],
  ['::', false, 'ipv4&ipv6'],
  ['localhost.test', false, 'ipv4'],
] as const;

/** Every way to name this host, and the address of the server that it leads to. */
const targets = [
  ['127.0.0.1', '127.0.0.1'],
  ['::ffff:127.0.0.1', '127.0.0.1'],
  ['::ffff:7f00:1', '127.0.0.1'],
  ['0.0.0.0', '127.0.0.1'],
  ['localhost.test', '127.0.0.1'],
  ['::1', '::1'],
  ['::', '::1'],
] as const;

const isIPv4 = (address: string) => address === '127.0.0.1';
const resolveHostname = () => '127.0.0.1';
const config = { verifyPeer: false };

const usable = (address: string) => hasIPv6 || !address.startsWith('::') || address.startsWith('::ffff');
const onBoth = hasIPv6 ? describe : describe.skip;

async function serve(host: string, ipv6Only = false): Promise<QUICServer> {
  const server = new QUICServer({ config: authority().issue() });
  await server.start({ host, ipv6Only });
  return server;
}

describe.each(binds.filter(([host]) => usable(host)))('a socket bound to %s (ipv6Only: %s)', (host, ipv6Only, type) => {
  let socket: QUICSocket;

  beforeAll(async () => {
    socket = new QUICSocket({ resolveHostname });
    await socket.start({ host, ipv6Only });
  });

  afterAll(() => socket.stop({ force: true }));

  test(`is ${type}`, () => {
    expect(socket.type).toBe(type);
  });

  test.each(targets.filter(([target]) => usable(target)))('and the target %s', async (target, at) => {
    await using server = await serve(at);
    const admitted = nextEvent<events.EventQUICServerConnection>(server, events.EventQUICServerConnection);
    const dialled = QUICClient.createQUICClient({ host: target, port: server.port, socket, config });
    const isReached = type === 'ipv4&ipv6' || (type === 'ipv4') === isIPv4(at);
    if (!isReached) {
      await expect(dialled).rejects.toThrow(errors.ErrorQUICClientInvalidHost);
      await expect(socket.send('x', server.port, target)).rejects.toThrow(errors.ErrorQUICSocketInvalidSendAddress);
      return;
    }
    const client = await dialled;
    const { detail: far } = await admitted;
    expect([client.host, client.port, client.localPort]).toEqual([at, server.port, socket.port]);
    // Never in mapped form, whatever the socket.
    expect([far.remoteHost, far.remotePort]).toEqual([at, socket.port]);
    expect(far.meta()).toMatchObject({ localHost: at, localPort: server.port, remoteHost: at });
    await client.destroy();
  });
});

onBoth('a server on ::', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['::', '127.0.0.1'],
    ['::', '::1'],
  ])('shows a client on %s that dials %s by the address it came from', async (localHost, host) => {
    await using server = await serve('::');
    const admitted = nextEvent<events.EventQUICServerConnection>(server, events.EventQUICServerConnection);
    await using client = await QUICClient.createQUICClient({ host, port: server.port, localHost, config });
    const { detail: far } = await admitted;
    expect([far.remoteHost, far.remotePort]).toEqual([host, client.localPort]);
    expect([server.host, far.localHost, client.localHost]).toEqual(['::', '::', localHost]);
  });

  test.each(['::1', '0:0:0:0:0:0:0:1', '127.0.0.1'])(
    'is shown to who judges it by its canonical address: %s',
    async (host) => {
      await using server = await serve('::');
      const judged: unknown[] = [];
      const verifyCallback = (_certs: Uint8Array[], _ca: Uint8Array[], context: { host: string; port: number }) => {
        judged.push([context.host, context.port]);
        return undefined;
      };
      const judging = { verifyPeer: true, verifyCallback };
      await using client = await QUICClient.createQUICClient({ host, port: server.port, config: judging });
      const at = host === '127.0.0.1' ? host : '::1';
      expect(judged).toEqual([[at, server.port]]);
      expect([client.host, client.connection.remoteHost]).toEqual([at, at]);
    },
  );

  test('with ipv6Only takes nobody from IPv4', async () => {
    await using socket = new QUICSocket();
    await socket.start({ host: '::', ipv6Only: true });
    await using server = new QUICServer({ config: authority().issue(), socket });
    await server.start();
    const { port } = server;
    const dialling = QUICClient.createQUICClient(
      { host: '127.0.0.1', port, localHost: '127.0.0.1', config },
      { timer: 200 },
    );
    // The port is free there: another test's server may have it, and answer.
    const client = await dialling.catch((error: unknown) =>
      expect(error).toBeInstanceOf(errors.ErrorQUICClientCreateTimeout),
    );
    await client?.destroy({ force: true });
    expect(socket.stats?.transport.datagramsReceived).toBe(0);
  });
});

(outside === undefined ? test.skip : test)('a wildcard socket answers from the address it was reached at', async () => {
  await using server = await serve('0.0.0.0');
  const options = { host: outside!, port: server.port, config };
  await using client = await QUICClient.createQUICClient({ ...options, localHost: '0.0.0.0' });
  const stream = client.connection.newStream();
  await stream.end(Buffer.from('x'));
  await client.connection.confirmed;
  expect(client.host).toBe(outside);
});
