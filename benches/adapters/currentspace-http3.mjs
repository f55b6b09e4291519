// @currentspace/http3: its raw QUIC classes (exported from the package root).
import {
  CONN_WINDOW,
  NODE_24,
  STREAM_WINDOW,
  MAX_STREAMS,
  UDP_PAYLOAD,
  requireFrom,
  versionOf,
} from '../lib/peers.mjs';
import { wrapDuplex } from '../lib/node-stream.mjs';

const lib = () => requireFrom('cs3', 'package.json')('@currentspace/http3');
const common = (ctx) => ({
  ca: ctx.ca,
  alpn: ['bench'],
  maxIdleTimeoutMs: 60000,
  maxUdpPayloadSize: UDP_PAYLOAD,
  initialMaxData: CONN_WINDOW,
  initialMaxStreamDataBidiLocal: STREAM_WINDOW,
  initialMaxStreamsBidi: MAX_STREAMS,
  enableDatagrams: ctx.workload === 'dgram',
  runtimeMode: process.env.BENCH_CS3_RUNTIME ?? 'auto',
});
export default {
  needs: ['cs3', 'node24'],
  features: ['connect', 'stream', 'mux', 'mtls', 'dgram'],
  notes: 'quiche 0.29 in native worker threads; Node >= 24 required, run on node 24 from npm',
  version: () => versionOf('cs3', 'node_modules', '@currentspace', 'http3'),
  node: () => NODE_24,
  async listen(ctx, onConn) {
    const { createQuicServer } = lib();
    const server = createQuicServer({
      ...common(ctx),
      key: ctx.server.key,
      cert: ctx.server.cert,
      clientAuth: 'require',
    });
    server.on('error', (e) => console.error(e));
    server.on('runtime', (r) => console.error('runtime', JSON.stringify(r)));
    server.on('session', (session) => {
      session.on('error', () => {});
      onConn({
        onStream: (cb) => session.on('stream', (s) => cb(wrapDuplex(s))),
        onDatagram: (cb) => session.on('datagram', cb),
      });
    });
    const { port } = await server.listen(0, ctx.host);
    return { port };
  },
  async connect(ctx) {
    const { connectQuicAsync } = lib();
    const session = await connectQuicAsync(`${ctx.host}:${ctx.port}`, {
      ...common(ctx),
      servername: 'localhost',
      key: ctx.client.key,
      cert: ctx.client.cert,
    });
    session.on('error', () => {});
    return {
      open: () => wrapDuplex(session.openStream()),
      sendDatagram: (buf) => session.sendDatagram(buf),
      close: () => session.close(),
    };
  },
};
