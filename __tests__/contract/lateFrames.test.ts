// Networks keep datagrams back and deliver them late. What such a one says of a stream that is gone must not make it anew.

import type { QUICStream } from '../../lib';
import { QUICClient, QUICServer, QUICSocket, events } from '../../lib';
import { HOST, MemoryNetwork } from '../helpers/memoryTransport';
import { authority, nextEvent } from '../helpers/pair';

/** A client and a server over a network that keeps back what the client sends, when told to. */
async function createPair() {
  const network = new MemoryNetwork();
  const [near, far] = [
    new QUICSocket({ openTransport: network.open }),
    new QUICSocket({ openTransport: network.open }),
  ];
  await near.start();
  await far.start();
  const server = new QUICServer({ config: authority().issue(), socket: far });
  await server.start();
  const admitted = nextEvent<events.EventQUICServerConnection>(server, events.EventQUICServerConnection);
  const client = await QUICClient.createQUICClient({
    host: HOST,
    port: server.port,
    socket: near,
    config: { verifyPeer: false },
  });
  const { detail: connection } = await admitted;
  const opened: QUICStream[] = [];
  connection.addEventListener(
    events.EventQUICConnectionStream.name,
    ({ detail }: events.EventQUICConnectionStream) => void opened.push(detail),
  );
  const kept: Uint8Array[] = [];
  return {
    client,
    opened,
    connection,
    /** Keeps back the next datagram of the client, once `send` has made it. */
    async keepBack(send: () => void) {
      const isKept = new Promise<void>((resolve) => {
        network.isLost = (data, from) => {
          if (from !== near.port || kept.length > 0) return false;
          kept.push(Buffer.from(data));
          resolve();
          return true;
        };
      });
      send();
      await isKept;
    },
    deliverLate() {
      for (const data of kept) network.deliver(data, near.port, far.port);
    },
    /** All that is under way has arrived when this has: a new stream, there and back. */
    async roundTrip() {
      const ours = client.connection.newStream();
      const theirs = await new Promise<QUICStream>((resolve) => {
        connection.addEventListener(
          events.EventQUICConnectionStream.name,
          ({ detail }: events.EventQUICConnectionStream) => {
            if (detail.streamId === ours.streamId) resolve(detail);
          },
        );
        void ours.end();
      });
      await theirs.end();
      await Promise.all([ours.read(), theirs.read()]);
      return theirs.streamId;
    },
    async [Symbol.asyncDispose]() {
      await client.destroy();
      await server.stop();
      await near.stop();
      await far.stop();
    },
  };
}

/** Ways in which a stream ends at both sides, while a datagram with bytes of it is on its way. */
const endings: Record<string, { type: 'bidi' | 'uni'; end: (ours: QUICStream, theirs: QUICStream) => unknown }> = {
  'cancelled by its opener': {
    type: 'bidi',
    end: (ours, theirs) => {
      ours.cancel(new Error('given up'));
      void theirs.end();
    },
  },
  'cancelled by the other': { type: 'bidi', end: (_, theirs) => theirs.cancel(new Error('given up')) },
  'cancelled by both at once': {
    type: 'bidi',
    end: (ours, theirs) => {
      ours.cancel(new Error('given up'));
      theirs.cancel(new Error('given up'));
    },
  },
  'ended by both, after the bytes were sent again': {
    type: 'bidi',
    end: (ours, theirs) => {
      void ours.end();
      void theirs.end();
      void theirs.read().then(() => theirs.read());
      void ours.read();
    },
  },
  'unidirectional, aborted': { type: 'uni', end: (ours) => ours.abortWrite(new Error('given up')) },
  'unidirectional, stopped': { type: 'uni', end: (_, theirs) => theirs.cancelRead(new Error('given up')) },
};

test.each(Object.entries(endings))('a stream that was %s stays gone', async (_, { type, end }) => {
  await using pair = await createPair();
  const ours = pair.client.connection.newStream(type);
  await ours.write(Buffer.from('x'));
  await pair.roundTrip();
  const [theirs] = pair.opened;
  expect(theirs.streamId).toBe(ours.streamId);
  await theirs.read();
  await pair.keepBack(() => void ours.write(Buffer.from('late')));
  end(ours, theirs);
  await Promise.all([ours.closedP, theirs.closedP]);
  // Acknowledged both ways, so that the stream is forgotten everywhere.
  await pair.roundTrip();
  const known = pair.opened.map(({ streamId }) => streamId);
  pair.deliverLate();
  const last = await pair.roundTrip();
  expect(pair.opened.map(({ streamId }) => streamId)).toEqual([...known, last]);
  expect([pair.connection.closed, pair.connection.stats.streams]).toEqual([false, 0]);
});
