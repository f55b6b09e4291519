import { setTimeout as sleep } from 'node:timers/promises';

import type { Config } from '../../index.js';

import { RawPair } from '../helpers/rawPair';

const MSS = 1200;
const buffer = Buffer.alloc(100_000);

/** A pair with room for as much as is sent here. */
function roomy(client: (config: Config) => void): RawPair {
  return RawPair.connected({
    client: (config) => {
      config.setInitialCongestionWindowPackets(10);
      client(config);
    },
    server: (config) => {
      config.setInitialMaxData(50_000_000);
      config.setInitialMaxStreamDataBidiRemote(50_000_000);
    },
  });
}

/** Lets the client fill its congestion window once, over a link with this delay, of which the last packets may arrive alone. */
async function round(pair: RawPair, delayMs: number, arrives = -Infinity): Promise<void> {
  while (pair.client.streamWrite(0, buffer, false) === buffer.length);
  const packets = pair.take('client');
  await sleep(delayMs);
  pair.deliver(packets.slice(arrives));
  while (pair.server.streamRead(0, buffer) > 0);
  pair.deliver(pair.take('server'));
}

function window(pair: RawPair): number {
  return pair.client.pathStats()[0].cwnd / MSS;
}

test('enableHystart leaves slow start when round trips grow', async () => {
  const grown = async (enable: boolean): Promise<number> => {
    const pair = roomy((config) => config.enableHystart(enable));
    for (const delay of [5, 5, 250, 250]) await round(pair, delay);
    return window(pair);
  };
  const [with_, without] = await Promise.all([grown(true), grown(false)]);
  expect(with_).toBeLessThan(0.8 * without);
});

test('setEnableRelaxedLossThreshold counts packets no more, once that was wrong', async () => {
  const lost = async (relaxed: boolean): Promise<number> => {
    const pair = roomy((config) => {
      config.setCcAlgorithmName('bbr2');
      config.setEnableRelaxedLossThreshold(relaxed);
    });
    // Round trips long enough that time alone takes nothing for lost.
    for (let n = 0; n < 3; n += 1) await round(pair, 400);
    overtake(pair, 4);
    expect(pair.client.stats()).toMatchObject({ lost: 1, spuriousLost: 1 });
    overtake(pair, 9);
    return pair.client.stats().lost;
  };
  expect(await Promise.all([lost(false), lost(true)])).toEqual([2, 1]);
});

/** Lets one packet be overtaken by others. */
function overtake(pair: RawPair, others: number): void {
  pair.client.streamWrite(0, buffer, false);
  const [late, ...early] = pair.take('client');
  pair.deliver(early.slice(0, others));
  pair.deliver(pair.take('server'));
  pair.deliver([late]);
  pair.deliver(pair.take('server'));
  pair.deliver(early.slice(others));
  pair.flush();
}

test('setEnableCubicIdleRestartFix lets the window grow when nothing is in flight between rounds', async () => {
  const grown = async (enable: boolean): Promise<number> => {
    const pair = roomy((config) => {
      config.setEnableCubicIdleRestartFix(enable);
      config.enableHystart(false);
    });
    await round(pair, 10);
    // Too many are lost to be taken for reordering, and the others are acknowledged: nothing is in flight.
    await round(pair, 200, -4);
    const before = window(pair);
    for (let n = 0; n < 20; n += 1) await round(pair, 10);
    return window(pair) - before;
  };
  const [fixed, broken] = await Promise.all([grown(true), grown(false)]);
  expect(fixed).toBeGreaterThan(5);
  expect(broken).toBeLessThan(3);
});
