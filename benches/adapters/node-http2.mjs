// node:http2 over TLS 1.3 / TCP: HTTP/2 streams as multiplexed byte streams.
import http2 from 'node:http2';
import { wrapDuplex } from '../lib/node-stream.mjs';
import { CONN_WINDOW, STREAM_WINDOW, MAX_STREAMS } from '../lib/peers.mjs';

const settings = { initialWindowSize: STREAM_WINDOW, maxConcurrentStreams: MAX_STREAMS, enablePush: false };
export default {
  features: ['connect', 'stream', 'mux', 'mtls'],
  notes: 'TLS 1.3 over TCP, mutual; every stream carries one request and one response header block',
  version: () => process.version,
  async listen(ctx, onConn) {
    const server = http2.createSecureServer({
      key: ctx.server.key,
      cert: ctx.server.cert,
      ca: ctx.ca,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
      settings,
    });
    server.on('session', (session) => {
      session.setLocalWindowSize(CONN_WINDOW);
      session.on('error', () => {});
      onConn({
        onStream: (cb) =>
          session.on('stream', (s) => {
            s.respond({ ':status': 200 });
            cb(wrapDuplex(s));
          }),
      });
    });
    await new Promise((r) => server.listen(0, ctx.host, 1024, r));
    return { port: server.address().port };
  },
  async connect(ctx) {
    const session = http2.connect(`https://localhost:${ctx.port}`, {
      host: ctx.host,
      lookup: (_h, o, cb) => (o.all ? cb(null, [{ address: ctx.host, family: 4 }]) : cb(null, ctx.host, 4)),
      ca: ctx.ca,
      key: ctx.client.key,
      cert: ctx.client.cert,
      minVersion: 'TLSv1.3',
      settings,
    });
    await new Promise((resolve, reject) => {
      session.once('connect', resolve);
      session.once('error', reject);
    });
    session.setLocalWindowSize(CONN_WINDOW);
    return {
      open: () => wrapDuplex(session.request({ ':method': 'POST', ':path': '/' }, { endStream: false })),
      close: () => session.destroy(),
    };
  },
};
