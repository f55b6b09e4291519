// Adapter factory for the js-quic family (@matrixai/quic 2.x and 1.x, forks).
import { createHmac, timingSafeEqual, randomBytes, webcrypto } from 'node:crypto';
import { CONN_WINDOW, STREAM_WINDOW, MAX_STREAMS, UDP_PAYLOAD, load, versionOf } from './peers.mjs';

export function jsQuic({ dir, pkg, config = {}, sharedSocket = false, notes, windows = true, callback = false }) {
  const base = ['node_modules', ...pkg.split('/')];
  let lib;
  const get = async () => {
    if (lib) return lib;
    const quic = await load(dir, ...base, 'dist', 'index.js');
    const log = await load(dir, 'node_modules', '@matrixai', 'logger', 'dist', 'index.js');
    const q = quic.default?.QUICServer ? quic.default : quic;
    const l = log.LogLevel ? log : log.default;
    const Logger = typeof l.default === 'function' ? l.default : (l.default?.default ?? l.Logger);
    // Logging off, as a production user would at least set WARN.
    lib = { ...q, logger: new Logger('bench', l.LogLevel.SILENT ?? l.LogLevel.ERROR, []) };
    return lib;
  };
  const common = (ctx) => ({
    ca: ctx.ca,
    verifyPeer: true,
    ...(callback ? { verifyCallback: async () => undefined } : {}),
    maxIdleTimeout: 60000,
    maxRecvUdpPayloadSize: 65527,
    maxSendUdpPayloadSize: UDP_PAYLOAD,
    ...(windows
      ? {
          initialMaxData: CONN_WINDOW,
          initialMaxStreamDataBidiLocal: STREAM_WINDOW,
          initialMaxStreamDataBidiRemote: STREAM_WINDOW,
        }
      : {}),
    initialMaxStreamsBidi: MAX_STREAMS,
    ...(ctx.workload === 'dgram' ? { enableDgram: [true, 4096, 4096] } : {}),
    ...config,
  });
  const wrapStream = (s) => {
    const writer = s.writable.getWriter();
    return {
      write(buf) {
        const p = writer.write(buf);
        p.catch(() => {});
        return writer.desiredSize > 0 ? true : writer.ready;
      },
      end(buf) {
        if (buf) writer.write(buf).catch(() => {});
        return writer.close();
      },
      async consume(onChunk, onEnd) {
        const reader = s.readable.getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          onChunk(value);
        }
        onEnd();
      },
    };
  };
  // js-quic has no datagram interface; its native binding does. Reached through
  // the @internal `conn` object, only to have a number for the comparison.
  const drainDatagrams = (connection, cb) => {
    const recv = connection.recv.bind(connection);
    connection.recv = async (...a) => {
      await recv(...a);
      for (;;) {
        const d = connection.conn.dgramRecvVec();
        if (d === null || d === undefined) break;
        cb(d);
      }
    };
  };
  let starting;
  return {
    needs: [dir],
    features: ['connect', 'stream', 'mux', 'mtls', 'dgram'],
    // Two orders of magnitude slower than the others: fewer bytes, same rates.
    params: {
      bulk: { mib: 16, warmMib: 2 },
      streams: { count: 100, bytes: 16384, warm: 20 },
      rpc: { count: 3000, warm: 200 },
      rpc1: { count: 1500, warm: 100 },
      dgram: { count: 20000, warm: 500 },
    },
    notes,
    version: () => versionOf(dir, ...base),
    async listen(ctx, onConn) {
      const { QUICServer, events, logger } = await get();
      const key = randomBytes(32);
      const server = new QUICServer({
        crypto: {
          key,
          ops: {
            async sign(k, data) {
              // Must be an ArrayBuffer: js-quic cuts the connection ID out of it.
              return new Uint8Array(createHmac('sha256', Buffer.from(k)).update(Buffer.from(data)).digest()).buffer;
            },
            async verify(k, data, sig) {
              const want = createHmac('sha256', Buffer.from(k)).update(Buffer.from(data)).digest();
              return want.length === sig.byteLength && timingSafeEqual(want, Buffer.from(sig));
            },
          },
        },
        config: { ...common(ctx), key: ctx.server.key, cert: ctx.server.cert },
        logger,
      });
      server.addEventListener(events.EventQUICServerConnection.name, (evt) => {
        const connection = evt.detail;
        onConn({
          onStream(cb) {
            connection.addEventListener(events.EventQUICConnectionStream.name, (e) => cb(wrapStream(e.detail)));
          },
          onDatagram: ctx.workload === 'dgram' ? (cb) => drainDatagrams(connection, cb) : undefined,
        });
      });
      await server.start({ host: ctx.host, port: 0 });
      return { port: server.port };
    },
    async connect(ctx) {
      const { QUICClient, QUICSocket, logger } = await get();
      if (sharedSocket) {
        starting ??= (async () => {
          const s = new QUICSocket({ logger });
          await s.start({ host: ctx.host, port: 0 });
          return s;
        })();
      }
      const socket = await starting;
      const client = await QUICClient.createQUICClient({
        host: ctx.host,
        port: ctx.port,
        serverName: 'localhost',
        ...(sharedSocket ? { socket } : { localHost: ctx.host }),
        crypto: {
          ops: {
            async randomBytes(data) {
              webcrypto.getRandomValues(new Uint8Array(data));
            },
          },
        },
        config: { ...common(ctx), key: ctx.client.key, cert: ctx.client.cert },
        logger,
      });
      const { connection } = client;
      return {
        open: () => wrapStream(connection.newStream('bidi')),
        sendDatagram(buf) {
          if (connection.conn.isDgramSendQueueFull()) return connection.send().then(() => false);
          connection.conn.dgramSend(buf);
          return connection.send();
        },
        close: () => client.destroy({ force: true }),
      };
    },
  };
}
