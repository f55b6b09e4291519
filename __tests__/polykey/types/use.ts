// How Polykey calls @matrixai/quic, with the types of the libraries around it. Compiled by types.test.ts, never run.

import type { ContextTimed } from '@matrixai/contexts';
import type { events as quicEvents } from '@matrixai/quic';
import Logger from '@matrixai/logger';
import {
  errors,
  events,
  native,
  QUICClient,
  QUICConnection,
  QUICServer,
  QUICSocket,
  QUICStream,
  utils,
} from '@matrixai/quic';
import { CryptoError } from '@matrixai/quic/dist/native';
import { RPCClient, RPCServer } from '@matrixai/rpc';
import { Timer } from '@matrixai/timer';
import NodeConnection from 'polykey/dist/nodes/NodeConnection';
import NodeConnectionManager from 'polykey/dist/nodes/NodeConnectionManager';
import * as nodesUtils from 'polykey/dist/nodes/utils';

const logger = new Logger('use');
const { reasonToCode, codeToReason } = nodesUtils;

export async function serve(rpcServer: RPCServer): Promise<QUICServer> {
  const socket = new QUICSocket({
    resolveHostname: () => {
      throw new Error('never');
    },
    logger: logger.getChild(QUICSocket.name),
  });
  await socket.start({ host: '::', port: 0, reuseAddr: undefined, ipv6Only: undefined });
  const type: 'ipv4' | 'ipv6' | 'ipv4&ipv6' = socket.type;
  await socket.send(Buffer.from(type), socket.port, socket.host).catch(() => undefined);
  const server = new QUICServer({
    crypto: nodesUtils.quicServerCrypto,
    config: {
      maxIdleTimeout: 30_000,
      keepAliveIntervalTime: 10_000,
      key: 'key',
      cert: 'cert',
      verifyPeer: true,
      verifyCallback: nodesUtils.verifyClientCertificateChain,
    },
    socket,
    reasonToCode,
    codeToReason,
    minIdleTimeout: 15_000,
    logger: logger.getChild(QUICServer.name),
  });
  await server.start({ host: '::', port: 0, reuseAddr: undefined, ipv6Only: undefined });
  server.addEventListener(
    events.EventQUICServerConnection.name,
    ({ detail: connection }: quicEvents.EventQUICServerConnection) => {
      connection.addEventListener(
        events.EventQUICConnectionStream.name,
        ({ detail: stream }: quicEvents.EventQUICConnectionStream) => {
          rpcServer.handleStream(stream);
          void stream.closedP.finally(() => stream.streamId);
        },
      );
    },
  );
  server.updateConfig({ key: 'key', cert: 'cert' });
  return server;
}

export async function dial(socket: QUICSocket, ctx: ContextTimed): Promise<QUICClient> {
  const dialled = QUICClient.createQUICClient(
    {
      host: '127.0.0.1',
      port: 1,
      socket,
      config: {
        keepAliveIntervalTime: undefined,
        maxIdleTimeout: 30_000,
        verifyPeer: true,
        verifyCallback: async (certs) => {
          const verdict = await nodesUtils.verifyServerCertificateChain([], certs);
          return verdict.result === 'success' ? undefined : verdict.value;
        },
        ca: undefined,
        key: 'key',
        cert: 'cert',
      },
      crypto: nodesUtils.quicClientCrypto,
      reasonToCode,
      codeToReason,
      logger: logger.getChild(QUICClient.name),
    },
    ctx,
  );
  dialled.cancel(new Error('given up'));
  return dialled;
}

export async function use(client: QUICClient): Promise<unknown[]> {
  const connection: QUICConnection = client.connection;
  const rpcClient = new RPCClient({ manifest: {}, streamFactory: async () => connection.newStream(), logger });
  const stream: QUICStream = connection.newStream('bidi');
  stream.cancel(new Error('given up'));
  client.addEventListener(events.EventQUICClientError.name, ({ detail }: quicEvents.EventQUICClientError) =>
    logger.info(detail.message),
  );
  await client.destroy({ force: true });
  await connection.stop({ isApp: true, errorCode: 1, reason: Buffer.from('bye'), force: true });
  await connection.stop({});
  const refused: CryptoError = CryptoError.BadCertificate;
  const same: typeof native.CryptoError = CryptoError;
  const pems = connection.getRemoteCertsChain().map((der) => utils.derToPEM(der));
  const id = Buffer.from(connection.connectionIdShared).toString('base64url');
  const closed = new errors.ErrorQUICConnectionPeer('closed', {
    data: { isApp: true, errorCode: 0, reason: new Uint8Array(0) },
  });
  const addresses = [connection.localHost, connection.localPort, connection.remoteHost, connection.remotePort];
  const viaTimer = { timer: new Timer({ delay: 1000 }) };
  void QUICClient.createQUICClient({ host: '::1', port: 1, crypto: nodesUtils.quicClientCrypto }, viaTimer);
  return [rpcClient, refused, same, pems, id, closed, addresses, NodeConnection, NodeConnectionManager];
}
