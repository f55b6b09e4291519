// What happens to connections through real NATs while a transfer runs: whatever it is, every byte arrives.

import type { Kind } from '../../scripts/nat/lab.cjs';
import type { Agent } from './agents';
import { Lab } from '../../scripts/nat/lab.cjs';
import { Stage } from './agents';

const problem = Lab.problem();
const withLab = problem === undefined ? test : test.skip;

const isFull = process.env['NAT_FULL'] === '1';
const MiB = 1024 * 1024;

/** Rebinding is noticed by a packet; scaled down like everything here. */
const lively = { keepAliveIntervalTime: 250, maxIdleTimeout: 20_000 };

type Transfer = { sent: number; received: number; isSame: boolean };

type Stats = {
  socket: { endpoint: { rebindings: number } };
  connection: { paths: { totalPtoCount: number }[] };
  remote: { host: string; port: number };
};

/** Moves bytes each way at once, in which `disturb` happens; expects all of them to arrive. */
async function transfer(
  stage: Stage,
  ends: [number, number],
  bytes: number,
  disturb?: () => Promise<void>,
): Promise<void> {
  const [one] = stage.agents;
  const [end] = ends;
  const both = Promise.all([
    one.ask<Transfer>('upload', { end, bytes }),
    one.ask<Transfer>('download', { end, bytes }),
    disturb?.(),
  ]);
  const [up, down] = await both;
  expect(up).toEqual({ sent: bytes, isSame: true });
  expect(down).toEqual({ received: bytes, isSame: true });
}

/** Waits until the answering side's socket has followed the other one so often. */
async function followed(stage: Stage, index: 0 | 1, end: number, times: number): Promise<void> {
  let rebindings = 0;
  while (rebindings < times) {
    const { socket } = await stage.agents[index].ask<Stats>('stats', { end });
    rebindings = socket.endpoint.rebindings;
  }
}

/** Waits until one side's connection goes to an address. */
async function seenAt(stage: Stage, index: 0 | 1, end: number, host: string): Promise<void> {
  let seen: string | undefined;
  while (seen !== host) seen = (await stage.agents[index].ask<Stats>('stats', { end })).remote.host;
}

withLab('a NAT forgets its mapping 20 times in one transfer', async () => {
  await using stage = new Stage(['symmetric', 'none']);
  // So slow that the transfer outlasts all of it.
  stage.lab.slow(1, '20mbit');
  const { ends } = await stage.meet(lively);
  let forgotten = 0;
  await transfer(stage, ends, 12 * MiB, async () => {
    for (forgotten = 1; forgotten <= 20; forgotten++) {
      stage.lab.forget(1);
      await followed(stage, 1, ends[1], forgotten);
    }
  });
  expect(forgotten).toBe(21);
});

withLab.each<[Kind, Kind]>([
  ['port-restricted', 'port-restricted'],
  ['none', 'symmetric'],
])('five of a hundred packets are lost between %s and %s', async (...kinds) => {
  await using stage = new Stage(kinds);
  const { ends } = await stage.meet();
  if (kinds[0] !== 'none') stage.lab.lose(1, 5);
  stage.lab.lose(2, 5);
  await transfer(stage, ends, (isFull ? 20 : 5) * MiB);
});

withLab('a link of 2 Mbit/s', async () => {
  await using stage = new Stage(['port-restricted', 'port-restricted']);
  const { ends } = await stage.meet();
  stage.lab.slow(1, '2mbit');
  const bytes = (isFull ? 4 : 1) * MiB;
  const start = performance.now();
  await transfer(stage, ends, bytes);
  // It was as slow as that: each direction has 2 Mbit/s.
  expect(performance.now() - start).toBeGreaterThan((bytes * 8) / 2_000);
});

withLab('both hosts change their address', async () => {
  await using stage = new Stage(['none', 'none']);
  stage.lab.slow(1, '20mbit');
  const { ends } = await stage.meet({ ...lively, followServer: true });
  await transfer(stage, ends, 6 * MiB, async () => {
    const one = stage.lab.readdress(1);
    await seenAt(stage, 1, ends[1], one);
    const other = stage.lab.readdress(2);
    await seenAt(stage, 0, ends[0], other);
  });
});

/** How often an agent has waited in vain for an acknowledgement. */
async function timeoutsOf(agent: Agent, end: number): Promise<number> {
  const { connection } = await agent.ask<Stats>('stats', { end });
  return connection.paths.reduce((sum, path) => sum + path.totalPtoCount, 0);
}

/** NATs that forget what was silent for 3 seconds. */
function forgetful(): Stage {
  const stage = new Stage(['port-restricted', 'port-restricted']);
  for (const router of ['r1', 'r2']) {
    stage.lab.sysctl(router, 'net.netfilter.nf_conntrack_udp_timeout=3');
    stage.lab.sysctl(router, 'net.netfilter.nf_conntrack_udp_timeout_stream=3');
  }
  return stage;
}

withLab('NATs forget what was silent for 3 seconds, and nobody gets in from outside any more', async () => {
  await using stage = forgetful();
  const { ends } = await stage.meet({ maxIdleTimeout: 60_000 });
  const [one, other] = stage.agents;
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  const before = await timeoutsOf(other, ends[1]);
  let isHeard = false;
  const heard = other.ask<boolean>('echo', { end: ends[1] }).finally(() => (isHeard = true));
  // What nobody answers is sent again and again.
  while ((await timeoutsOf(other, ends[1])) < before + 4);
  expect(isHeard).toBe(false);
  // From inside the way is open again, also for what was waiting.
  expect(await one.ask('echo', { end: ends[0] })).toBe(true);
  expect(await heard).toBe(true);
});

withLab('keep-alive packets keep NATs from forgetting', async () => {
  await using stage = forgetful();
  const { ends } = await stage.meet({ keepAliveIntervalTime: 1_000, maxIdleTimeout: 20_000 });
  const [one, other] = stage.agents;
  // Longer than it takes where there are none.
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  expect(await other.ask('echo', { end: ends[1] })).toBe(true);
  const pauses = { bytes: 2 * MiB, pauseAt: MiB, pauseMs: isFull ? 30_000 : 9_000 };
  expect(await one.ask('upload', { end: ends[0], ...pauses })).toEqual({ sent: 2 * MiB, isSame: true });
});
