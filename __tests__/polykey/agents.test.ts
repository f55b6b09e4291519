import type { Agent, Identity } from './agents';
import { begin, endAll, failure, isOriginal, testPolykey, until } from './agents';

// Three agents for all tests of this file, in the order in which they were started. Each test connects them anew.
let agents: [Agent, Agent, Agent];
let identities: [Identity, Identity, Identity];

beforeAll(async () => {
  if (testPolykey === test.skip) return;
  agents = [begin(), begin(), begin()];
  identities = (await Promise.all(agents.map((agent) => agent.start()))) as typeof identities;
});

afterEach(async () => {
  if (testPolykey === test.skip) return;
  for (const agent of agents) expect(await agent.do('unhandled')).toEqual([]);
  for (const agent of agents) {
    for (const { nodeId } of await connections(agent)) await agent.do('disconnect', { nodeId, force: true });
  }
  for (const agent of agents)
    await until(
      () => connections(agent),
      (left) => left.length === 0,
    );
});

afterAll(endAll);

type Connection = { nodeId: string; host: string; port: number };
const connections = (agent: Agent) => agent.do<Connection[]>('connections');

testPolykey('an agent connects to another by its NodeId, and both know whom they talk to', async () => {
  const [alice, bob] = agents;
  const [alicesIdentity, bobsIdentity] = identities;
  const { nodeId } = await alice.do<{ nodeId: string }>('connect', bobsIdentity);
  expect(nodeId).toBe(bobsIdentity.nodeId);
  const [here] = await connections(alice);
  expect(here).toMatchObject({ nodeId: bobsIdentity.nodeId, host: bobsIdentity.host, port: bobsIdentity.port });
  const [there] = await until(
    () => connections(bob),
    (list) => list.length === 1,
  );
  expect(there).toMatchObject({ nodeId: alicesIdentity.nodeId, host: alicesIdentity.host, port: alicesIdentity.port });
});

testPolykey('an agent refuses a peer that has another NodeId, and the peer never sees it', async () => {
  const [alice, bob] = agents;
  const error = await failure(alice.do('connect', { ...identities[1], nodeId: identities[2].nodeId }));
  expect(error).toMatchObject({ name: 'ErrorQUICConnectionLocalTLS', isConnectionError: true });
  expect(error.data).toMatchObject({ isApp: false, errorCode: 298 });
  expect(await connections(alice)).toEqual([]);
  // Better on purpose: @matrixai/quic has shown the connection before it knows.
  if (!isOriginal) expect(await connections(bob)).toEqual([]);
});

testPolykey('an agent refuses a stranger, who learns why, and who is never shown', async () => {
  const [alice, bob] = agents;
  const error = await failure(alice.do('dialExpired', identities[1]));
  expect(error).toMatchObject({ name: 'ErrorQUICConnectionPeerTLS', isQUIC: true, isConnectionError: true });
  expect(error.data).toMatchObject({ isApp: false, errorCode: 301 });
  expect(await connections(bob)).toEqual([]);
});

// In 1.3.0 PeerTLS extends Local, here it extends Peer: docs/polykey.md tells who catches Local.
testPolykey('Polykey takes the same errors for failures of a connection, whichever library it stands on', async () => {
  expect(await agents[0].do('connectionErrors')).toEqual([
    'ErrorQUICConnectionLocal',
    'ErrorQUICConnectionLocalTLS',
    'ErrorQUICConnectionNotRunning',
    'ErrorQUICConnectionPeer',
    'ErrorQUICConnectionPeerTLS',
    'ErrorQUICConnectionStopping',
  ]);
});

testPolykey('calls go in both directions over one connection', async () => {
  const [alice, bob] = agents;
  const [alicesIdentity, bobsIdentity] = identities;
  await alice.do('connect', bobsIdentity);
  await until(
    () => connections(bob),
    (list) => list.length === 1,
  );
  expect(await alice.calls(bobsIdentity.nodeId)).toBe(true);
  expect(await bob.calls(alicesIdentity.nodeId)).toBe(true);
  expect(await connections(bob)).toHaveLength(1);
});

testPolykey('a call that the other side refuses fails with its error, and the connection lives on', async () => {
  const [alice] = agents;
  const { nodeId } = identities[2];
  await alice.do('connect', identities[2]);
  const error = await failure(alice.do('notify', { nodeId, message: 'unwanted' }));
  expect(error).toMatchObject({
    name: 'ErrorNotificationsNotificationRejected',
    cause: { name: 'ErrorPolykeyRemote', cause: { name: 'ErrorNotificationsPermissionsNotFound' } },
  });
  expect(await alice.calls(nodeId)).toBe(true);
});

testPolykey('an agent reaches another by a signal through a third, which both know', async () => {
  const [alice, bob, carol] = agents;
  const [alicesIdentity, bobsIdentity, carolsIdentity] = identities;
  await bob.do('connect', alicesIdentity);
  await carol.do('connect', alicesIdentity);
  await until(
    () => connections(alice),
    (list) => list.length === 2,
  );
  const { nodeId, port } = await bob.do<Connection>('punch', {
    nodeId: carolsIdentity.nodeId,
    via: alicesIdentity.nodeId,
  });
  expect([nodeId, port]).toEqual([carolsIdentity.nodeId, carolsIdentity.port]);
  const seen = await until(
    () => connections(carol),
    (list) => list.length === 2,
  );
  expect(seen.map((each) => each.nodeId).sort()).toEqual([alicesIdentity.nodeId, bobsIdentity.nodeId].sort());
  expect(await carol.calls(bobsIdentity.nodeId)).toBe(true);
});

testPolykey('agents claim each other, by a call in which both sides answer', async () => {
  const [alice, bob] = agents;
  const [alicesIdentity, bobsIdentity] = identities;
  await alice.do('connect', bobsIdentity);
  await alice.do('trust', { nodeId: bobsIdentity.nodeId, actions: ['notify', 'claim', 'scan'] });
  await bob.do('trust', { nodeId: alicesIdentity.nodeId, actions: ['notify', 'claim', 'scan'] });
  await alice.do('notify', { nodeId: bobsIdentity.nodeId, message: 'hello' });
  expect(await bob.do('notifications')).toContain('hello');
  await alice.do('claim', { nodeId: bobsIdentity.nodeId });
  expect(await bob.do('gestalt', { nodeId: alicesIdentity.nodeId })).toBe(2);
  expect(await alice.do('claimsOf', { nodeId: bobsIdentity.nodeId })).toBe(1);
});

testPolykey('a vault is cloned, and pulled again when it has changed', async () => {
  const [alice, bob] = agents;
  const [alicesIdentity, bobsIdentity] = identities;
  await bob.do('connect', alicesIdentity);
  const large = Buffer.alloc(50_000, 'large ').toString();
  await alice.do('createVault', { name: 'shared', files: { secret: 'one', large } });
  // The notice of it may be refused; what counts is the permission.
  await alice.do('trust', { nodeId: bobsIdentity.nodeId, actions: ['notify', 'scan'] });
  await bob.do('trust', { nodeId: alicesIdentity.nodeId, actions: ['notify', 'scan'] });
  await alice.do('shareVault', { name: 'shared', nodeId: bobsIdentity.nodeId });
  expect(await bob.do('scanVaults', { nodeId: alicesIdentity.nodeId })).toEqual(['shared']);
  await bob.do('cloneVault', { nodeId: alicesIdentity.nodeId, name: 'shared' });
  expect(await bob.do('readVault', { name: 'shared', file: 'secret' })).toBe('one');
  expect(await bob.do('readVault', { name: 'shared', file: 'large' })).toBe(large);
  await alice.do('writeVault', { name: 'shared', files: { secret: 'two' } });
  await bob.do('pullVault', { name: 'shared' });
  expect(await bob.do('readVault', { name: 'shared', file: 'secret' })).toBe('two');
});

testPolykey('an agent that renews its key is found by its old and its new NodeId', async () => {
  const [alice, , carol] = agents;
  const before = identities[2];
  await alice.do('connect', before);
  const after = await carol.do<Identity>('renew');
  expect(after.nodeId).not.toBe(before.nodeId);
  // The connection was made with the old key, and lives on.
  expect(await alice.calls(before.nodeId)).toBe(true);
  await alice.do('disconnect', { nodeId: before.nodeId, force: true });
  const byOld = await alice.do<{ nodeId: string; validated: string }>('connect', before);
  expect(byOld).toEqual({ nodeId: after.nodeId, validated: before.nodeId });
  await alice.do('disconnect', { nodeId: before.nodeId, force: true });
  const byNew = await alice.do<{ nodeId: string; validated: string }>('connect', after);
  expect(byNew).toEqual({ nodeId: after.nodeId, validated: after.nodeId });
  // And the other way round: who accepts sees the new chain.
  await alice.do('disconnect', { nodeId: after.nodeId, force: true });
  await carol.do('connect', identities[0]);
  const [seen] = await until(
    () => connections(alice),
    (list) => list.length === 1,
  );
  expect(seen.nodeId).toBe(after.nodeId);
});

testPolykey('when all are stopped while connected, each process ends by itself', async () => {
  const [alice] = agents;
  await alice.do('connect', identities[1]);
  await agents[1].do('connect', identities[0]);
  for (const agent of agents.slice(0, 2)) {
    await until(
      () => connections(agent),
      (list) => list.length === 2,
    );
  }
  const all = agents;
  agents = [] as unknown as typeof agents;
  expect(await Promise.all(all.map((agent) => agent.stop()))).toEqual([
    [0, null],
    [0, null],
    [0, null],
  ]);
});
