// @chainsafe/libp2p-quic: its native classes, without the libp2p stack on top.
// Certificates are libp2p's own (self-signed, generated inside), always mutual.
import { CONN_WINDOW, NODE_24, STREAM_WINDOW, MAX_STREAMS, load, versionOf } from './peers.mjs';

const READ = 65536;
let cached;
async function lib(dir) {
  if (cached) return cached;
  const napi = await load(dir, 'node_modules', '@chainsafe', 'libp2p-quic', 'dist', 'src', 'napi.js');
  const keys = await load(dir, 'node_modules', '@libp2p', 'crypto', 'dist', 'src', 'keys', 'index.js');
  const privateKeyProto = keys.privateKeyToProtobuf(await keys.generateKeyPair('Ed25519'));
  const config = new napi.QuinnConfig({
    handshakeTimeout: 10000,
    maxIdleTimeout: 60000,
    keepAliveInterval: 0xffffffff, // off
    maxConcurrentStreamLimit: MAX_STREAMS,
    maxStreamData: STREAM_WINDOW,
    maxConnectionData: CONN_WINDOW,
    receiveBufferSize: 500000,
    sendBufferSize: 500000,
    privateKeyProto,
  });
  cached = { napi, config };
  return cached;
}

function wrapStream(s) {
  // write() must not overlap: keep order with a promise chain.
  let tail = Promise.resolve();
  let queued = 0;
  const push = (op) => {
    queued++;
    tail = tail.then(op).then(() => {
      queued--;
    });
    tail.catch(() => {});
    return tail;
  };
  return {
    write(buf) {
      const p = push(() => s.write(buf));
      return queued < 4 ? true : p;
    },
    end(buf) {
      if (buf) void push(() => s.write(buf));
      return push(() => s.finishWrite());
    },
    async consume(onChunk, onEnd) {
      for (;;) {
        let chunk;
        try {
          chunk = await s.read(READ);
        } catch (e) {
          if (!/finish|closed|ended/i.test(String(e?.message))) throw e;
          chunk = null;
        }
        if (chunk === null || chunk === undefined) break;
        onChunk(chunk);
      }
      onEnd();
    },
  };
}

let client;
export const libp2p = ({ dir, node24 }) => ({
  needs: node24 ? [dir, 'node24'] : [dir],
  features: ['connect', 'stream', 'mux', 'mtls'],
  node: () => (node24 ? NODE_24 : undefined),
  notes: 'quinn 0.11 + rustls/ring on a tokio runtime; MTU discovery on (quinn default)',
  version: () => versionOf(dir, 'node_modules', '@chainsafe', 'libp2p-quic'),
  async listen(ctx, onConn) {
    const { napi, config } = await lib(dir);
    const server = new napi.Server(config, ctx.host, 0);
    const port = Number(server.port());
    void (async () => {
      for (;;) {
        const conn = await server.inboundConnection();
        onConn({
          async onStream(cb) {
            for (;;) {
              let s;
              try {
                s = await conn.inboundStream();
              } catch {
                return;
              }
              cb(wrapStream(s));
            }
          },
        });
      }
    })();
    return { port };
  },
  async connect(ctx) {
    const { napi, config } = await lib(dir);
    client ??= new napi.Client(config, 0);
    const conn = await client.outboundConnection(ctx.host, ctx.port);
    return {
      open: async () => wrapStream(await conn.outboundStream()),
      close: () => conn.abort(),
    };
  },
});
