// utp-native: one connection = one stream, no encryption, no datagrams.
import { requireFrom, versionOf } from '../lib/peers.mjs';
import { wrapDuplex } from '../lib/node-stream.mjs';

const lib = () => requireFrom('utp', 'package.json')('utp-native');
let client;
export default {
  needs: ['utp'],
  features: ['connect', 'stream'],
  params: { bulk: { mib: 16, warmMib: 2 } },
  notes: 'uTP, NOT encrypted; its handshakes carry no cryptography',
  version: () => versionOf('utp', 'node_modules', 'utp-native'),
  async listen(ctx, onConn) {
    const utp = lib();
    const server = utp.createServer((socket) => {
      onConn({ onStream: (cb) => cb(wrapDuplex(socket)) });
    });
    await new Promise((r) => server.listen(0, ctx.host, r));
    return { port: server.address().port };
  },
  async connect(ctx) {
    const utp = lib();
    client ??= utp();
    // A connection is a stream here: `open` dials.
    const dial = () =>
      new Promise((resolve, reject) => {
        const s = client.connect(ctx.port, ctx.host);
        s.once('connect', () => resolve(s));
        s.once('error', reject);
      });
    if (ctx.workload === 'bulk') return { open: async () => wrapDuplex(await dial()), close() {} };
    const s = await dial();
    s.on('error', () => {});
    return { close: () => s.destroy() };
  },
};
