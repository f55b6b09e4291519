// Adapter factory for this package, as it stands in dist/.
import { createRequire } from 'node:module';
import { CONN_WINDOW, STREAM_WINDOW, MAX_STREAMS, UDP_PAYLOAD } from './peers.mjs';

const require = createRequire(import.meta.url);

/** A stream by its lean calls. */
function wrapLean(stream) {
  return {
    write: (bytes) => stream.write(bytes),
    end: (bytes) => stream.end(bytes),
    async consume(onChunk, onEnd) {
      for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read()) onChunk(chunk);
      onEnd();
    },
  };
}

/** A stream as a pair of web streams. */
function wrapWeb(stream) {
  const writer = stream.writable.getWriter();
  return {
    write(bytes) {
      writer.write(bytes).catch(() => {});
      return writer.desiredSize > 0 ? true : writer.ready;
    },
    end(bytes) {
      if (bytes !== undefined) writer.write(bytes).catch(() => {});
      return writer.close();
    },
    async consume(onChunk, onEnd) {
      const reader = stream.readable.getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) onChunk(part.value);
      onEnd();
    },
  };
}

/**
 * `socketOptions` are for every socket; `judge` decides whether chains are checked by a callback that says yes at once,
 * or by the addon against `ca`.
 */
export function ours({ notes, wrap = wrapLean, socketOptions = {}, judge = true }) {
  const { QUICServer, QUICClient, QUICSocket, events } = require('../../dist/index.js');
  const common = (ctx) => ({
    ca: ctx.ca,
    verifyPeer: true,
    ...(judge ? { verifyCallback: () => undefined } : {}),
    maxIdleTimeout: 60_000,
    maxSendUdpPayloadSize: UDP_PAYLOAD,
    initialMaxData: CONN_WINDOW,
    initialMaxStreamDataBidiLocal: STREAM_WINDOW,
    initialMaxStreamDataBidiRemote: STREAM_WINDOW,
    initialMaxStreamsBidi: MAX_STREAMS,
    applicationProtos: ['bench'],
    enableDgram: [ctx.workload === 'dgram', 4096, 4096],
  });
  const start = async (ctx) => {
    // All come from one address here.
    const socket = new QUICSocket({ maxConnectionsPerAddress: 65_536, ...socketOptions });
    await socket.start({ host: ctx.host, port: 0 });
    return socket;
  };
  let starting;
  return {
    features: ['connect', 'stream', 'mux', 'mtls', 'dgram'],
    notes,
    version: () => `${require('../../package.json').version}, Node ${process.version}`,
    async listen(ctx, onConn) {
      const socket = await start(ctx);
      const server = new QUICServer({
        socket,
        config: { ...common(ctx), key: ctx.server.key, cert: ctx.server.cert },
      });
      server.addEventListener(events.EventQUICServerConnection.name, ({ detail: connection }) => {
        onConn({
          onStream(use) {
            connection.addEventListener(events.EventQUICConnectionStream.name, ({ detail }) => use(wrap(detail)));
          },
          async onDatagram(use) {
            if (ctx.workload !== 'dgram') return;
            for await (const datagram of connection.datagrams) use(datagram);
          },
        });
      });
      await server.start();
      return { port: socket.port, stats: () => socket.stats };
    },
    async connect(ctx) {
      starting ??= start(ctx);
      const client = await QUICClient.createQUICClient({
        host: ctx.host,
        port: ctx.port,
        serverName: 'localhost',
        socket: await starting,
        config: { ...common(ctx), key: ctx.client.key, cert: ctx.client.cert },
      });
      const { connection } = client;
      return {
        open: () => wrap(connection.newStream()),
        sendDatagram: (bytes) => connection.sendDatagram(bytes),
        close: () => client.destroy(),
      };
    },
  };
}

export { wrapWeb };
