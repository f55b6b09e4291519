// Everything that may be ended, ended in every way at one moment of a life: from both ends, with and without force, one
// after the other. All that was begun has to settle, each end is told once and in order, nobody still listens to the
// caller's signal, nothing is rejected unhandled, and the process ends by itself.
//
//   node ends.cjs <folder of the package> <moment>

'use strict';

const assert = require('node:assert');
const dgram = require('node:dgram');
const { getEventListeners, once } = require('node:events');

const [packageFolder, momentName] = process.argv.slice(2);
const { QUICClient, QUICServer, QUICSocket, errors, events, x509 } = require(packageFolder);

/** What takes longer than this hangs. */
const LIMIT_MS = 10_000;

process.on('unhandledRejection', (reason) => {
  console.error('unhandled:', reason);
  process.exit(3);
});

const key = x509.generateKey('Ed25519');
const now = Date.now() / 1000;
const { pem: cert } = x509.createCertificate({ key, notBefore: now - 3600, notAfter: now + 3600 });
const never = new Promise(() => undefined);
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Names of events, in order. */
function record(target) {
  const names = [];
  target.addEventListener('EventAll', ({ detail }) => names.push(detail.type));
  return names;
}

const next = (target, name) => new Promise((resolve) => target.addEventListener(name, resolve, { once: true }));

/** A server and a dial to it, each on a socket that is shared, and everything that was begun on them. */
class Life {
  begun = new Map();
  controller = new AbortController();
  heard = {};

  async start({ client = {}, server = {} } = {}) {
    const config = { key, cert, verifyPeer: true, verifyCallback: () => undefined };
    [this.clientSocket, this.serverSocket] = [new QUICSocket(), new QUICSocket()];
    for (const socket of [this.clientSocket, this.serverSocket]) await socket.start({ host: '127.0.0.1' });
    this.server = new QUICServer({ config: { ...config, ...server }, socket: this.serverSocket });
    await this.server.start();
    this.heard.server = record(this.server);
    this.admitted = next(this.server, events.EventQUICServerConnection.name).then(({ detail }) => {
      this.far = detail;
      this.heard.far = record(detail);
    });
    this.dial(this.server.port, { ...config, ...client });
    return this;
  }

  dial(port, config) {
    this.dialled = QUICClient.createQUICClient(
      { host: '127.0.0.1', port, socket: this.clientSocket, config },
      { signal: this.controller.signal, timer: 60_000 },
    );
    const dialled = this.dialled.then((client) => {
      this.client = client;
      this.near = client.connection;
      this.heard.client = record(client);
      this.heard.near = record(client.connection);
    });
    this.begin('dial', dialled);
    return dialled;
  }

  async connect() {
    await Promise.all([this.dialled, this.admitted]);
    for (const name of ['near', 'far']) {
      this.begin(`${name}: datagram`, this[name].receiveDatagram());
      this.begin(`${name}: confirmed`, this[name].confirmed);
    }
  }

  /** Opens streams from one end, and begins to use them at both. */
  async open(from, to, count, use) {
    for (let i = 0; i < count; i++) {
      const opened = next(to, events.EventQUICConnectionStream.name);
      const ours = from.newStream(i === 0 ? 'uni' : 'bidi');
      await ours.write(Buffer.from('x'));
      const { detail: theirs } = await opened;
      use(ours, theirs);
      this.begin('stream', ours.closedP);
      this.begin('stream of the peer', theirs.closedP);
    }
  }

  /** Notes what has to settle, however it does. */
  begin(name, p) {
    const entry = `${this.begun.size} ${name}`;
    this.begun.set(entry, false);
    p.then(
      () => this.begun.set(entry, true),
      () => this.begun.set(entry, true),
    );
    return p;
  }

  get unsettled() {
    return [...this.begun].filter(([, isSettled]) => !isSettled).map(([name]) => name);
  }
}

const readBoth = (life) => (ours, theirs) => {
  life.begin('read', theirs.read());
  life.begin('web read', ours.readable.getReader().read());
};

const fillBoth = (life) => (ours, theirs) => {
  for (const stream of [ours, theirs]) {
    if (stream.writeClosed) continue;
    life.begin('write', stream.write(Buffer.alloc(1_000_000)));
    life.begin('end', stream.end(Buffer.alloc(1_000_000)));
  }
};

const moments = {
  async dialling() {
    const silence = dgram.createSocket('udp4').bind(0, '127.0.0.1');
    await once(silence, 'listening');
    const life = await new Life().start();
    await life.dialled;
    // A second one, which nobody answers.
    life.dial(silence.address().port, { key, cert, verifyPeer: false }).catch(() => undefined);
    await turn();
    silence.close();
    return life;
  },
  async 'client verifying'() {
    let asked;
    const isAsked = new Promise((resolve) => (asked = resolve));
    const life = await new Life().start({ client: { verifyCallback: () => (asked(), never) } });
    await isAsked;
    return life;
  },
  async 'server verifying'() {
    let asked;
    const isAsked = new Promise((resolve) => (asked = resolve));
    const life = await new Life().start({ server: { verifyCallback: () => (asked(), never) } });
    await Promise.all([isAsked, life.dialled]);
    life.begin('confirmed', life.near.confirmed);
    life.begin('write', life.near.newStream().write(Buffer.alloc(100_000)));
    return life;
  },
  async idle() {
    const life = await new Life().start();
    await life.connect();
    return life;
  },
  async 'streams open'() {
    const life = await new Life().start();
    await life.connect();
    await life.open(life.near, life.far, 3, readBoth(life));
    await life.open(life.far, life.near, 3, readBoth(life));
    return life;
  },
  async 'buffers full'() {
    const small = {
      initialMaxData: 100_000,
      initialMaxStreamDataBidiLocal: 10_000,
      initialMaxStreamDataBidiRemote: 10_000,
      initialMaxStreamDataUni: 10_000,
      initialMaxStreamsBidi: 4,
    };
    const life = await new Life().start({ client: small, server: small });
    await life.connect();
    await life.open(life.near, life.far, 4, fillBoth(life));
    await life.open(life.far, life.near, 4, fillBoth(life));
    // Beyond the peer's credit.
    for (const connection of [life.near, life.far]) {
      for (let i = 0; i < 2; i++) life.begin('late write', connection.newStream().write(Buffer.alloc(10)));
      life.begin('late stream', connection.openStream());
    }
    return life;
  },
  async 'winding down'() {
    const life = await new Life().start();
    await life.connect();
    await life.open(life.near, life.far, 3, readBoth(life));
    life.begin('gentle stop', life.near.stop({ force: false }));
    life.begin('gentle stop of the server', life.server.stop({ force: false }));
    await turn();
    return life;
  },
};

const say = { isApp: true, errorCode: 7, reason: Buffer.from('ends') };

/** Ways to end something of a life; those that don't exist at a moment end nothing. */
const enders = {
  client: (life, force) => [life.client?.destroy({ ...say, force })],
  near: (life, force) => [life.near?.stop({ ...say, force })],
  far: (life, force) => [life.far?.stop({ ...say, force })],
  server: (life, force) => [life.server.stop({ ...say, force })],
  'near and far at once': (life, force) => [life.near?.stop({ ...say, force }), life.far?.stop({ ...say, force })],
  'client and server at once': (life, force) => [life.client?.destroy({ force }), life.server.stop({ force })],
  'the socket of the client': (life) => [life.clientSocket.stop({ force: true })],
  'the socket of the server': (life) => [life.serverSocket.stop({ force: true })],
  'both sockets': (life) => [life.clientSocket.stop({ force: true }), life.serverSocket.stop({ force: true })],
  'the caller, by signal': (life) => (life.controller.abort(new Error('given up')), []),
  'the caller, by cancel': (life) => (life.dialled.cancel(new Error('given up')), []),
  'all streams, then the client': (life, force) => {
    for (const connection of [life.near, life.far]) connection?.destroyStreams(new Error('all of you'));
    return [life.client?.destroy({ force })];
  },
  everything: (life, force) => [
    life.far?.stop({ force }),
    life.server.stop({ force }),
    life.near?.stop({ force }),
    life.client?.destroy({ force }),
    life.clientSocket.stop({ force: true }),
    life.serverSocket.stop({ force: true }),
  ],
};

async function endRest(life) {
  const all = [life.client?.destroy(), life.near?.stop(), life.far?.stop(), life.server.stop()];
  for (const p of all) if (p !== undefined) life.begin('last end', p);
  await Promise.all(all);
  // Again, when it is over: does nothing.
  await Promise.all([life.client?.destroy({ force: false }), life.near?.stop(), life.far?.stop(), life.server.stop()]);
  await Promise.all([life.clientSocket.stop({ force: true }), life.serverSocket.stop({ force: true })]);
}

/** Each end is told once, and its parts in order. */
function checkEvents(life) {
  const wanted = {
    client: ['EventQUICClientDestroy', 'EventQUICClientDestroyed'],
    near: ['EventQUICConnectionStop', 'EventQUICConnectionStopped'],
    far: ['EventQUICConnectionStop', 'EventQUICConnectionStopped'],
    server: ['EventQUICServerStop', 'EventQUICServerStopped'],
  };
  const fails = { client: 'EventQUICClient', near: 'EventQUICConnection', far: 'EventQUICConnection' };
  for (const [name, pair] of Object.entries(wanted)) {
    const heard = life.heard[name];
    if (heard === undefined) continue;
    assert.deepStrictEqual(
      heard.filter((type) => pair.includes(type)),
      pair,
      name,
    );
    const prefix = fails[name];
    if (prefix === undefined) continue;
    const failure = [`${prefix}Error`, `${prefix}Close`];
    assert.deepStrictEqual(
      heard.filter((type) => failure.includes(type)),
      failure,
      name,
    );
  }
}

function checkObjects(life) {
  for (const name of ['client', 'near', 'far', 'server', 'clientSocket', 'serverSocket']) {
    assert.strictEqual(life[name]?.closed ?? true, true, `${name} is closed`);
  }
  for (const connection of [life.near, life.far]) {
    if (connection === undefined) continue;
    assert.throws(() => connection.newStream(), errors.ErrorQUICConnectionNotRunning);
    assert.strictEqual(connection.stats.streams, 0);
  }
  assert.strictEqual(getEventListeners(life.controller.signal, 'abort').length, 0, 'nobody listens to the signal');
}

let at = '';
const watchdog = setInterval(() => undefined, 1000);
let current;
function limited(p) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`hangs: ${at}: ${current.unsettled.join(', ')}`)), LIMIT_MS);
  });
  return Promise.race([p, limit]).finally(() => clearTimeout(timer));
}

async function endAll() {
  for (const [name, end] of Object.entries(enders)) {
    for (const force of [true, false]) {
      at = `${name}, ${force ? 'with' : 'without'} force`;
      const life = (current = await moments[momentName]());
      for (const p of end(life, force)) if (p !== undefined) life.begin(name, p);
      await turn();
      await limited(endRest(life));
      await turn();
      assert.deepStrictEqual(life.unsettled, [], at);
      checkEvents(life);
      checkObjects(life);
    }
  }
}

endAll().then(
  () => {
    clearInterval(watchdog);
    console.log('ended');
  },
  (error) => {
    console.error(at, error);
    process.exit(1);
  },
);
