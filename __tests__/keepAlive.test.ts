// What keeping a connection alive costs.

import { createPair } from './helpers/pair';

const INTERVAL = 100;

/** Datagrams that both sides sent together, in so many milliseconds of silence. */
async function sentInSilence(config: { keepAliveIntervalTime?: number }, ms: number): Promise<[number, number]> {
  await using pair = await createPair({ client: config });
  await pair.near.confirmed;
  const sides = [pair.near, pair.far];
  // Until the end of the handshake's own talk: two looks that see the same.
  let before: number[];
  let now = sides.map((side) => side.stats.sent);
  do {
    before = now;
    await new Promise((resolve) => setTimeout(resolve, INTERVAL / 2));
    now = sides.map((side) => side.stats.sent);
  } while (config.keepAliveIntervalTime === undefined && now.join() !== before.join());
  await new Promise((resolve) => setTimeout(resolve, ms));
  const [near, far] = sides.map((side, i) => side.stats.sent - now[i]);
  return [near, far];
}

test('a silent connection sends nothing unless asked to', async () => {
  expect(await sentInSilence({}, 10 * INTERVAL)).toEqual([0, 0]);
});

test('keep-alive costs one packet per interval, and its acknowledgement', async () => {
  const [near, far] = await sentInSilence({ keepAliveIntervalTime: INTERVAL }, 10 * INTERVAL);
  expect(near).toBeGreaterThanOrEqual(3);
  expect(near).toBeLessThanOrEqual(11);
  // The other side only acknowledges.
  expect(far).toBeLessThanOrEqual(near + 1);
});

test('keep-alive costs nothing while there is something else to send', async () => {
  await using pair = await createPair({ client: { keepAliveIntervalTime: INTERVAL, enableDgram: [true, 100, 100] } });
  await pair.near.confirmed;
  const before = pair.near.stats.sent;
  const sent = 40;
  for (let i = 0; i < sent; i++) {
    pair.near.sendDatagram(Buffer.from('x'));
    await new Promise((resolve) => setTimeout(resolve, INTERVAL / 4));
  }
  // Acknowledgements of what the server still had to say at the begin are among them.
  expect(pair.near.stats.sent - before).toBeLessThanOrEqual(sent + 4);
});
