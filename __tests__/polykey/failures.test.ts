import type { Agent, Identity } from './agents';
import { begin, endAll, failure, testPolykey, until } from './agents';

// Short, so that the tests need not wait long for an agent that is gone.
const nodes = { connectionKeepAliveTimeoutTime: 6_000, connectionKeepAliveIntervalTime: 1_000 };

let alice: Agent;
let bob: Agent;
let bobsIdentity: Identity;

beforeAll(async () => {
  if (testPolykey === test.skip) return;
  alice = begin();
  bob = begin();
  [, bobsIdentity] = await Promise.all([alice.start({ nodes }), bob.start({ nodes })]);
});

afterAll(endAll);

const connected = () => alice.do<unknown[]>('connections');

testPolykey('an agent that is suspended is given up, and found again when it goes on', async () => {
  const { nodeId } = bobsIdentity;
  await alice.do('connect', bobsIdentity);
  expect(await alice.calls(nodeId)).toBe(true);
  bob.kill('SIGSTOP');
  const error = await failure(alice.do('closest', { nodeId }));
  expect([error.name, error.cause?.name]).toContain('ErrorQUICConnectionIdleTimeout');
  await until(connected, (list) => list.length === 0);
  bob.kill('SIGCONT');
  await until(
    () => bob.do<unknown[]>('connections'),
    (list) => list.length === 0,
  );
  await alice.do('connect', bobsIdentity);
  expect(await alice.calls(nodeId)).toBe(true);
});

testPolykey('an agent that is killed is given up, and dialling it times out', async () => {
  const { nodeId } = bobsIdentity;
  if ((await connected()).length === 0) await alice.do('connect', bobsIdentity);
  bob.kill('SIGKILL');
  expect(await bob.exited).toEqual([null, 'SIGKILL']);
  await failure(alice.do('closest', { nodeId }));
  await until(connected, (list) => list.length === 0);
  const error = await failure(alice.do('connect', { ...bobsIdentity, timeout: 1_000 }));
  expect(error).toMatchObject({ name: 'ErrorNodeConnectionTimeout', isConnectionError: true });
});

testPolykey('a killed agent comes back with its state, and is known again', async () => {
  bob = begin(bob.statePath);
  const back = await bob.start({ nodes });
  expect(back.nodeId).toBe(bobsIdentity.nodeId);
  await alice.do('connect', back);
  expect(await alice.calls(back.nodeId)).toBe(true);
});

testPolykey('nothing was rejected unhandled, and both processes end by themselves', async () => {
  expect([await alice.do('unhandled'), await bob.do('unhandled')]).toEqual([[], []]);
  expect(await Promise.all([alice.stop(), bob.stop()])).toEqual([
    [0, null],
    [0, null],
  ]);
});
