// A life of a socket, a server and clients in which everything is done at any moment, in any order. Whatever happens, all
// that was begun has to settle, nothing may be rejected unhandled, and the process has to end by itself.
//
//   node chaos.cjs <folder of the package> <seed>

'use strict';

const [packageFolder, seedText] = process.argv.slice(2);
const { QUICClient, QUICServer, QUICSocket, events, x509 } = require(packageFolder);

process.on('unhandledRejection', (reason) => {
  console.error('unhandled:', reason);
  process.exit(3);
});

let state = Number(seedText) + 1;
/** Mulberry32: the same seed, the same life. */
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}
const below = (limit) => Math.floor(random() * limit);
const chance = (share) => random() < share;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const key = x509.generateKey('Ed25519');
const now = Date.now() / 1000;
const { pem: cert } = x509.createCertificate({ key, notBefore: now - 3600, notAfter: now + 3600 });

/** Everything that was begun; each may fail, none may stay. */
const begun = [];
const begin = (name, p) => {
  const settled = Promise.resolve(p).then(
    () => undefined,
    () => undefined,
  );
  begun.push([name, settled]);
  return settled;
};

const verifyCallback = async () => {
  await pause(below(30));
  if (chance(0.1)) throw new Error('no verdict');
  return chance(0.2) ? 298 : undefined;
};

const config = { key, cert, verifyPeer: true, verifyCallback, maxIdleTimeout: 2000, handshakeTimeout: 1500 };

function useStream(stream) {
  const give = chance(0.5) ? { reason: new Error('given up') } : {};
  const uses = [
    () => stream.cancel(give.reason),
    () => begin('destroy stream', stream.destroy({ force: chance(0.5), ...give })),
    () => begin('write', stream.write(Buffer.alloc(below(3_000_000)))),
    () => begin('read', stream.read()),
    () => begin('end', stream.end(Buffer.alloc(below(1000)))),
    () => begin('web write', stream.writable.getWriter().write(Buffer.alloc(below(100_000)))),
    () => begin('web read', stream.readable.getReader().read()),
    () => begin('abort', stream.writable.abort(give.reason)),
  ];
  for (let i = below(4); i > 0; i--) {
    try {
      uses[below(uses.length)]();
    } catch {
      // Locked, or ended: that is an answer.
    }
  }
}

function useConnection(connection, moments) {
  connection.addEventListener(events.EventQUICConnectionStream.name, ({ detail }) => useStream(detail));
  for (let i = below(6); i > 0; i--) {
    moments.push(() => {
      try {
        useStream(connection.newStream(chance(0.8) ? 'bidi' : 'uni'));
      } catch {
        // It has ended.
      }
    });
  }
  const end = () => ({ force: chance(0.5), isApp: chance(0.8), errorCode: below(10), reason: Buffer.from('chaos') });
  if (chance(0.6)) moments.push(() => begin('stop connection', connection.stop(end())));
  if (chance(0.2)) moments.push(() => connection.destroyStreams(new Error('all of you')));
}

async function live() {
  const moments = [];
  const socket = new QUICSocket();
  const server = new QUICServer({ config, socket: chance(0.7) ? socket : undefined });
  server.addEventListener(events.EventQUICServerConnection.name, ({ detail }) => useConnection(detail, moments));
  await socket.start({ host: '127.0.0.1' });
  await server.start({ host: '127.0.0.1' });
  const { port } = server;
  for (let i = 2 + below(6); i > 0; i--) {
    moments.push(() => {
      const ctx = {};
      if (chance(0.3)) ctx.signal = AbortSignal.timeout(below(60));
      if (chance(0.2)) ctx.timer = below(60);
      const options = { host: '127.0.0.1', port: chance(0.9) ? port : 9, config };
      const where = chance(0.5) ? { socket } : { localHost: '127.0.0.1' };
      const dialled = QUICClient.createQUICClient({ ...options, ...where }, ctx);
      if (chance(0.1)) moments.push(() => dialled.cancel(new Error('cancelled')));
      begin(
        'dial',
        dialled.then((client) => {
          useConnection(client.connection, moments);
          moments.push(() => begin('destroy client', client.destroy({ force: chance(0.5) })));
          moments.push(() => begin('destroy client again', client.destroy()));
        }),
      );
    });
  }
  for (let i = below(3); i > 0; i--) moments.push(() => begin('stop server', server.stop({ force: chance(0.5) })));
  if (chance(0.3)) moments.push(() => begin('start server', server.start({ host: '127.0.0.1' })));
  if (chance(0.3)) moments.push(() => begin('stop socket', socket.stop({ force: chance(0.7) })));
  if (chance(0.2)) moments.push(() => begin('start socket', socket.start({ host: '127.0.0.1' })));

  const end = Date.now() + 600;
  while (Date.now() < end) {
    if (moments.length > 0) moments.splice(below(moments.length), 1)[0]();
    if (chance(0.5)) await pause(below(12));
  }
  begin('last stop of the server', server.stop());
  begin('last stop of the socket', socket.stop({ force: true }));
  for (const moment of moments.splice(0)) moment();
  // What the last moments have begun may have started things again.
  await pause(100);
  begin('very last stop of the server', server.stop());
  begin('very last stop of the socket', socket.stop({ force: true }));
}

const waiting = new Set();
live().then(async () => {
  for (let i = 0; i < begun.length; i++) {
    waiting.add(begun[i][0]);
    await begun[i][1];
    waiting.delete(begun[i][0]);
  }
  process.exitCode = 0;
  console.log('settled');
});
// Only says what hangs; it keeps nothing alive.
setTimeout(() => {
  console.error('hangs:', [...waiting].join(', '));
  process.exit(4);
}, 15_000).unref();
process.exitCode = 5;
