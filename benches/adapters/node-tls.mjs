// node:tls over TCP: one connection = one stream.
import tls from 'node:tls';
import { wrapDuplex } from '../lib/node-stream.mjs';

export default {
  features: ['connect', 'stream', 'mtls'],
  notes:
    'TLS 1.3 over TCP (OpenSSL), mutual; TCP_NODELAY; session resumption off; bulk dials one connection per stream',
  version: () => process.version,
  async listen(ctx, onConn) {
    const server = tls.createServer(
      {
        key: ctx.server.key,
        cert: ctx.server.cert,
        ca: ctx.ca,
        requestCert: true,
        rejectUnauthorized: true,
        minVersion: 'TLSv1.3',
        allowHalfOpen: true,
      },
      (socket) => {
        socket.on('error', () => {});
        onConn({
          onStream: (cb) => {
            if (ctx.workload === 'bulk') cb(wrapDuplex(socket));
            else socket.on('end', () => socket.end()).resume();
          },
        });
      },
    );
    await new Promise((r) => server.listen(0, ctx.host, 1024, r));
    return { port: server.address().port };
  },
  async connect(ctx) {
    const secureContext = (this.sc ??= tls.createSecureContext({
      key: ctx.client.key,
      cert: ctx.client.cert,
      ca: ctx.ca,
      minVersion: 'TLSv1.3',
    }));
    const dial = () =>
      new Promise((resolve, reject) => {
        const s = tls.connect(
          {
            host: ctx.host,
            port: ctx.port,
            servername: 'localhost',
            secureContext,
            allowHalfOpen: true,
          },
          () => resolve(s),
        );
        s.setNoDelay(true);
        s.once('error', reject);
      });
    if (ctx.workload === 'bulk') return { open: async () => wrapDuplex(await dial()), close() {} };
    const s = await dial();
    // Not at once: the server would lose our certificate and Finished, and its handshake never be complete.
    return { close: () => s.resume().end() };
  },
};
