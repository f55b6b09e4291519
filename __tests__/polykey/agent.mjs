// One whole Polykey agent in a process of its own. It does what it is told over IPC: `[id, command, argument]` in,
// `[id, 'ok', result]` or `[id, 'error', description]` out.
//
//   node agent.mjs <folder with polykey installed> <folder for the agent's state>

import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';

const [installed, statePath] = process.argv.slice(2);
const require = createRequire(path.join(installed, 'package.json'));
const polykey = require('polykey');
const quic = require('@matrixai/quic');
const { default: Logger, LogLevel, StreamHandler } = require('@matrixai/logger');

// Agents here find each other by what the tests tell them, never by what else is on this network.
const { MDNS } = require('@matrixai/mdns');
for (const name of ['start', 'stop']) MDNS.prototype[name] = () => Promise.resolve();
for (const name of ['registerService', 'startQuery', 'stopQuery']) MDNS.prototype[name] = () => undefined;

// Two calls more, for benches/polykey.mjs: none of Polykey's own carries as many bytes as one likes.
const rpc = require('@matrixai/rpc');
const handlers = require('polykey/dist/nodes/agent/handlers');
const { default: callers } = require('polykey/dist/nodes/agent/callers');
class EchoBytes extends rpc.RawHandler {
  handle = async ([, bytes]) => [{}, bytes];
}
class EchoValue extends rpc.ServerHandler {
  handle = async function* (value) {
    yield value;
  };
}
const { default: makeHandlers } = handlers;
handlers.default = (container) => ({
  ...makeHandlers(container),
  echoBytes: new EchoBytes(container),
  echoValue: new EchoValue(container),
});
Object.assign(callers, { echoBytes: new rpc.RawCaller(), echoValue: new rpc.ServerCaller() });

const password = 'correct horse battery staple';
const { decodeNodeId, encodeNodeId } = polykey.nodes.utils;
const nodeIdOf = (text) => decodeNodeId(text);

let agent;

/** A call at the agent with that NodeId. */
function call(nodeId, work) {
  return agent.nodeManager.withConnF(nodeIdOf(nodeId), (connection) => work(connection.getClient().methods));
}

async function collect(iterable) {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
}

/** Addresses of new connections that are being written down. Polykey itself doesn't wait for them: stopped meanwhile, it crashes. */
const writes = new Set();

function noteWrites() {
  const { nodeManager } = agent;
  const setNode = nodeManager.setNode.bind(nodeManager);
  nodeManager.setNode = (...args) => {
    const written = setNode(...args);
    writes.add(written);
    void written.finally(() => writes.delete(written)).catch(() => undefined);
    return written;
  };
}

const commands = {
  async start({ fresh = false, nodes = {} } = {}) {
    const begin = performance.now();
    agent = await polykey.PolykeyAgent.createPolykeyAgent({
      password,
      fresh,
      options: {
        nodePath: statePath,
        clientServiceHost: '127.0.0.1',
        clientServicePort: 0,
        agentServiceHost: '127.0.0.1',
        agentServicePort: 0,
        workers: null,
        seedNodes: {},
        keys: { passwordOpsLimit: minOps, passwordMemLimit: minMem, strictMemoryLock: false },
        nodes,
      },
      logger: new Logger('agent', logLevel, [new StreamHandler()]),
    });
    noteWrites();
    return { ...commands.whoami(), startMs: performance.now() - begin };
  },
  whoami: () => ({
    nodeId: encodeNodeId(agent.keyRing.getNodeId()),
    host: agent.agentServiceHost,
    port: agent.agentServicePort,
    pid: process.pid,
  }),
  async stop() {
    while (writes.size > 0) await Promise.allSettled(writes);
    await agent.stop();
    agent = undefined;
  },

  // Connections
  async connect({ nodeId, host, port, timeout }) {
    const ctx = timeout === undefined ? {} : { timer: timeout };
    const connection = await agent.nodeConnectionManager.createConnection([nodeIdOf(nodeId)], host, port, ctx);
    return { nodeId: encodeNodeId(connection.nodeId), validated: encodeNodeId(connection.validatedNodeId) };
  },
  connections: () =>
    agent.nodeConnectionManager.listConnections().map(({ nodeId, address }) => ({
      nodeId: encodeNodeId(nodeId),
      ...address,
    })),
  async punch({ nodeId, via }) {
    const connection = await agent.nodeConnectionManager.createConnectionPunch(nodeIdOf(nodeId), nodeIdOf(via), {});
    return { nodeId: encodeNodeId(connection.nodeId), host: connection.host, port: connection.port };
  },
  async find({ nodeId }) {
    const [[host, port], { mode }] = (await agent.nodeManager.findNode({ nodeId: nodeIdOf(nodeId) })) ?? [[], {}];
    return { host, port, mode };
  },
  async disconnect({ nodeId, force = false }) {
    await agent.nodeConnectionManager.destroyConnection(nodeIdOf(nodeId), force);
  },

  /** Dials as somebody whose certificate has expired: our agent has a name to lose, so it is made for this. */
  async dialExpired({ host, port }) {
    const { utils } = polykey.keys;
    const keyPair = utils.generateKeyPair();
    const certificate = await utils.generateCertificate({
      certId: utils.createCertIdGenerator()(),
      subjectKeyPair: keyPair,
      issuerPrivateKey: keyPair.privateKey,
      duration: 0,
      now: new Date(Date.now() - 1000),
    });
    const client = await quic.QUICClient.createQUICClient({
      host,
      port,
      localHost: '127.0.0.1',
      config: {
        key: utils.privateKeyToPEM(keyPair.privateKey),
        cert: utils.certToPEM(certificate),
        verifyPeer: true,
        verifyCallback: () => Promise.resolve(undefined),
      },
      crypto: polykey.nodes.utils.quicClientCrypto,
      logger: new Logger('stranger', LogLevel.WARN, [new StreamHandler()]),
    });
    const { detail } = await new Promise((resolve) =>
      client.addEventListener(quic.events.EventQUICClientError.name, resolve, { once: true }),
    );
    await client.destroy();
    throw detail;
  },
  /** The names of all errors of QUIC that Polykey takes for the failure of a connection. */
  connectionErrors: () =>
    Object.entries(quic.errors)
      .filter(([, Class]) => polykey.nodes.utils.isConnectionError(Object.create(Class.prototype)))
      .map(([name]) => name)
      .sort(),

  // Calls of Polykey's own
  closest: ({ nodeId, target }) =>
    call(nodeId, async (methods) => {
      const found = await collect(await methods.nodesClosestLocalNodesGet({ nodeIdEncoded: target ?? nodeId }));
      return found.map((each) => each.nodeIdEncoded);
    }),
  claimsOf: ({ nodeId }) =>
    call(nodeId, async (methods) => (await collect(await methods.nodesClaimsGet({ claimIdEncoded: '' }))).length),
  trust: ({ nodeId, actions }) =>
    agent.gestaltGraph
      .setNode({ nodeId: nodeIdOf(nodeId) })
      .then(() => setActions(nodeIdOf(nodeId), actions))
      .then(() => undefined),
  claim: ({ nodeId }) => agent.nodeManager.claimNode(nodeIdOf(nodeId)),
  async gestalt({ nodeId }) {
    const gestalt = await agent.gestaltGraph.getGestaltByNode(nodeIdOf(nodeId));
    return Object.keys(gestalt?.nodes ?? {}).length;
  },
  async notify({ nodeId, message }) {
    const data = { type: 'General', message };
    const { sendP } = await agent.notificationsManager.sendNotification({ nodeId: nodeIdOf(nodeId), data });
    await sendP;
  },
  async notifications() {
    const inbox = await collect(agent.notificationsManager.readInboxNotifications());
    return inbox.map((each) => each.data.message ?? each.data.type);
  },

  // Vaults
  async createVault({ name, files }) {
    const vaultId = await agent.vaultManager.createVault(name);
    await commands.writeVault({ name, files });
    return polykey.vaults.utils.encodeVaultId(vaultId);
  },
  writeVault: ({ name, files }) =>
    withVault(name, (vault) =>
      vault.writeF(async (fs) => {
        for (const [file, contents] of Object.entries(files)) await fs.writeFile(file, contents);
      }),
    ),
  readVault: ({ name, file }) =>
    withVault(name, (vault) => vault.readF(async (fs) => (await fs.readFile(file)).toString())),
  async shareVault({ name, nodeId }) {
    const vaultId = await agent.vaultManager.getVaultId(name);
    await agent.vaultManager.shareVault(vaultId, nodeIdOf(nodeId));
  },
  async scanVaults({ nodeId }) {
    return (await collect(agent.vaultManager.scanVaults(nodeIdOf(nodeId)))).map((each) => each.vaultName);
  },
  cloneVault: async ({ nodeId, name }) => {
    await agent.vaultManager.cloneVault(nodeIdOf(nodeId), name);
  },
  async pullVault({ name }) {
    await agent.vaultManager.pullVault({ vaultId: await agent.vaultManager.getVaultId(name) });
  },

  async renew() {
    const { tlsConfig } = agent.nodeConnectionManager;
    await agent.certManager.renewCertWithNewKeyPair(password);
    // Polykey passes the key on when it finds the time.
    while (agent.nodeConnectionManager.tlsConfig === tlsConfig) await new Promise((resolve) => setTimeout(resolve, 10));
    return commands.whoami();
  },

  // For the measurement; each answers with milliseconds.
  timeCall: ({ nodeId }) => timed(() => commands.closest({ nodeId })),
  timeBytes: ({ nodeId, bytes }) =>
    timed(() =>
      call(nodeId, async (methods) => {
        const { readable, writable } = await methods.echoBytes({});
        const [, received] = await Promise.all([writeAll(writable, bytes), countAll(readable)]);
        if (received !== bytes) throw new Error(`${received} of ${bytes} bytes came back`);
      }),
    ),
  timeValues: ({ nodeId, count, bytes }) =>
    timed(() =>
      call(nodeId, async (methods) => {
        const value = 'x'.repeat(bytes);
        const echo = async () => collect(await methods.echoValue({ value }));
        const answers = await Promise.all(Array.from({ length: count }, echo));
        if (answers.some(([answer]) => answer.value !== value)) throw new Error('another value came back');
      }),
    ),
  unhandled: () => unhandled,
};

async function timed(work) {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

async function writeAll(writable, bytes) {
  const writer = writable.getWriter();
  const chunk = new Uint8Array(64 * 1024);
  for (let sent = 0; sent < bytes; sent += chunk.length) await writer.write(chunk.subarray(0, bytes - sent));
  await writer.close();
}

async function countAll(readable) {
  let bytes = 0;
  for await (const chunk of readable) bytes += chunk.length;
  return bytes;
}

async function withVault(name, work) {
  const vaultId = await agent.vaultManager.getVaultId(name);
  return agent.vaultManager.withVaults([vaultId], work);
}

async function setActions(nodeId, actions) {
  for (const action of actions) {
    await agent.gestaltGraph.setGestaltAction(['node', nodeId], action);
  }
}

const logLevel = LogLevel[process.env.AGENT_LOG ?? 'ERROR'] ?? LogLevel.ERROR;
const minOps = polykey.keys.utils.passwordOpsLimits.min;
const minMem = polykey.keys.utils.passwordMemLimits.min;

const unhandled = [];
process.on('unhandledRejection', (reason) => unhandled.push(describe(reason)));

/** An error as plain values, with the chain of its causes. */
function describe(error) {
  if (!(error instanceof Error)) return { name: typeof error, message: String(error) };
  const { name, message, data, errors, cause } = error;
  return {
    name: error.constructor.name === 'Object' ? name : error.constructor.name,
    message,
    data: JSON.parse(JSON.stringify(data ?? null)),
    isQUIC: error instanceof quic.errors.ErrorQUIC,
    isConnectionError: polykey.nodes.utils.isConnectionError(error),
    ...(errors === undefined ? {} : { errors: errors.map(describe) }),
    ...(cause === undefined ? {} : { cause: describe(cause) }),
  };
}

process.on('message', ([id, name, argument]) => void answer(id, name, argument));

async function answer(id, name, argument) {
  try {
    process.send([id, 'ok', await commands[name](argument)]);
  } catch (error) {
    process.send([id, 'error', { ...describe(error), stack: error?.stack }]);
  }
}

// Whoever commands us is gone.
process.on('disconnect', () => {
  if (agent !== undefined) process.exit(1);
});
