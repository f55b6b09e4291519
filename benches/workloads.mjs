// The workloads, written once against the adapter interface (see README.md).
// Every workload has a server half (what a server connection does) and a client
// half split in `prepare` (untimed: connect, warm-up) and `run` (timed).
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

const MiB = 1024 * 1024;

export const DEFAULTS = {
  bulk: { mib: 256, chunk: 65536, warmMib: 16 },
  streams: { count: 1000, concurrency: 100, bytes: 65536, warm: 50 },
  rpc: { count: 20000, concurrency: 64, bytes: 128, warm: 1000 },
  rpc1: { count: 2000, concurrency: 1, bytes: 128, warm: 300 },
  hs: { count: 200, concurrency: 1, warm: 10 },
  hs32: { count: 512, concurrency: 32, warm: 32 },
  idle500: { count: 500, concurrency: 32 },
  idle2000: { count: 2000, concurrency: 32 },
  fair: { mib: 512, chunk: 65536, warmMib: 16, concurrency: 4, bytes: 128, warm: 100 },
  dgram: { count: 100000, bytes: 1000, warm: 2000, settleMs: 400 },
};

// How much more often than asked for a workload is repeated: short ones that come close to what is wanted of them.
export const TIMES = { bulk: 3, streams: 3, rpc: 3, rpc1: 3, fair: 3 };

// What each workload needs from an adapter (adapter.features).
export const NEEDS = {
  bulk: ['stream'],
  streams: ['mux'],
  rpc: ['mux'],
  rpc1: ['mux'],
  hs: ['connect'],
  hs32: ['connect'],
  idle500: ['connect'],
  idle2000: ['connect'],
  fair: ['mux'],
  dgram: ['dgram'],
};

// Workloads that measure Node's event loop: nothing for a peer that has none.
export const NEEDS_NODE = new Set(['fair']);

const ONE = Buffer.from([1]);

const STALL_MS = 10000;
let lastProgress = 0; // any answer byte on any stream

// Runs fn(0..total-1), `concurrency` at a time. Some peers lose the end of a
// stream now and then; so a pool that makes no progress for STALL_MS is given up
// and reports how much it finished, and when.
async function pool(total, concurrency, fn) {
  let next = 0;
  let done = 0;
  let last = performance.now();
  const worker = async () => {
    while (next < total) {
      await fn(next++);
      done++;
      last = performance.now();
    }
  };
  let timer;
  const stall = new Promise((resolve) => {
    timer = setInterval(() => {
      if (performance.now() - Math.max(last, lastProgress) > STALL_MS) resolve();
    }, 250);
  });
  const all = Promise.all(Array.from({ length: Math.min(concurrency, total) }, worker));
  try {
    await Promise.race([all, stall]);
  } finally {
    clearInterval(timer);
  }
  return { done, stalled: total - done, end: last };
}

// ---------------------------------------------------------------- server side

/** How late timers of a millisecond come, in ms; until it is read. */
function watchLateness() {
  const late = [];
  let due = performance.now() + 1;
  const timer = setInterval(() => {
    const now = performance.now();
    late.push(Math.max(0, now - due));
    due = now + 1;
  }, 1);
  return () => {
    clearInterval(timer);
    return percentiles(late);
  };
}

export function makeServer(workload) {
  const stats = { conns: 0, streams: 0, fins: 0, bytes: 0, dgrams: 0, dgramBytes: 0 };
  const held = [];
  const onStream = {
    // Consume everything, answer one byte at fin.
    bulk: (s) =>
      s.consume(
        (c) => {
          stats.bytes += c.length;
        },
        () => s.end(ONE),
      ),
    // Echo.
    streams: (s) =>
      s.consume(
        (c) => {
          stats.bytes += c.length;
          s.write(c);
        },
        () => {
          stats.fins++;
          s.end();
        },
      ),
    // Read the whole request, then answer with the same number of bytes.
    rpc: (s) => {
      const parts = [];
      s.consume(
        (c) => {
          stats.bytes += c.length;
          parts.push(c);
        },
        () => {
          stats.fins++;
          s.end(parts.length === 1 ? parts[0] : Buffer.concat(parts));
        },
      );
    },
  };
  onStream.rpc1 = onStream.rpc;
  // Small requests are echoed, all else gets one byte.
  onStream.fair = (s) => {
    let [got, first] = [0, ONE];
    s.consume(
      (c) => {
        if (got === 0) first = c;
        got += c.length;
        stats.bytes += c.length;
      },
      () => s.end(got <= 1024 ? first : ONE),
    );
  };
  let lateness;
  const handler = onStream[workload];
  return {
    stats,
    onConnection(conn) {
      stats.conns++;
      if (workload.startsWith('idle')) held.push(conn);
      conn.onStream?.((s) => {
        stats.streams++;
        handler?.(s);
      });
      conn.onDatagram?.((d) => {
        stats.dgrams++;
        stats.dgramBytes += d.length;
      });
    },
    /** The numbers that are made of all that was measured. */
    get measured() {
      const late = lateness?.();
      return late === undefined ? {} : { lateP99: late.p99 };
    },
    reset() {
      if (workload === 'fair') lateness = watchLateness();
      stats.streams = stats.fins = stats.bytes = stats.dgrams = stats.dgramBytes = 0;
    },
  };
}

// ---------------------------------------------------------------- client side

async function bulkOnce(conn, mib, chunkSize) {
  const s = await conn.open();
  const chunk = Buffer.alloc(chunkSize, 0x61);
  const n = Math.round((mib * MiB) / chunkSize);
  const reply = new Promise((resolve) => {
    let got = 0;
    s.consume(
      (c) => {
        got += c.length;
      },
      () => resolve(got),
    );
  });
  for (let i = 0; i < n; i++) {
    const r = s.write(chunk);
    if (r !== true) await r;
  }
  await s.end();
  const got = await reply;
  if (got !== 1) throw new Error(`bulk: expected a 1 byte reply, got ${got}`);
  return n * chunkSize;
}

// One request on its own stream. Done when the last byte of the (known length)
// answer is here; `fins` counts the answers whose end of stream arrived as well.
function exchange(conn, payload, tally) {
  return new Promise((resolve, reject) => {
    (async () => {
      const s = await conn.open();
      let got = 0;
      s.consume(
        (c) => {
          got += c.length;
          lastProgress = performance.now();
          if (got === payload.length) resolve();
        },
        () => {
          if (got !== payload.length) reject(new Error(`reply of ${got} bytes, expected ${payload.length}`));
          else tally.fins++;
        },
      );
      await s.end(payload);
    })().catch(reject);
  });
}

function percentiles(values) {
  const v = Float64Array.from(values).sort();
  const q = (p) => v[Math.min(v.length - 1, Math.floor(p * v.length))];
  return { p50: q(0.5), p99: q(0.99), max: v[v.length - 1] };
}

export function makeClient(workload, params, connect) {
  let conn;
  const held = [];

  const rpc = {
    async prepare() {
      conn = await connect();
      const payload = Buffer.alloc(params.bytes, 0x62);
      await pool(params.warm, params.concurrency, () => exchange(conn, payload, { fins: 0 }));
    },
    async run() {
      const payload = Buffer.alloc(params.bytes, 0x62);
      const lat = [];
      const tally = { fins: 0 };
      const t0 = performance.now();
      const { done, stalled, end } = await pool(params.count, params.concurrency, async () => {
        const t = performance.now();
        await exchange(conn, payload, tally);
        lat.push(performance.now() - t);
      });
      const secs = (end - t0) / 1000;
      await sleep(200);
      const p = percentiles(lat);
      return {
        secs,
        done,
        stalled,
        finMissing: done - tally.fins,
        rps: done / secs,
        p50us: p.p50 * 1000,
        p99us: p.p99 * 1000,
      };
    },
  };

  const hs = {
    async prepare() {
      await pool(params.warm, params.concurrency, async () => {
        const c = await connect();
        void c.close();
      });
      await sleep(200);
    },
    async run() {
      const lat = [];
      const t0 = performance.now();
      const { done, stalled, end } = await pool(params.count, params.concurrency, async () => {
        const t = performance.now();
        const c = await connect();
        lat.push(performance.now() - t);
        void c.close();
      });
      const secs = (end - t0) / 1000;
      const p = percentiles(lat);
      return { secs, done, stalled, hps: done / secs, p50us: p.p50 * 1000, p99us: p.p99 * 1000 };
    },
  };

  const idle = {
    prepare: () => Promise.resolve(),
    async run() {
      const t0 = performance.now();
      await pool(params.count, params.concurrency, async (i) => {
        held[i] = await connect();
      });
      const secs = (performance.now() - t0) / 1000;
      return { secs, openPerSec: params.count / secs };
    },
  };

  return {
    bulk: {
      async prepare() {
        conn = await connect();
        await bulkOnce(conn, params.warmMib, params.chunk);
      },
      async run() {
        const t0 = performance.now();
        const bytes = await bulkOnce(conn, params.mib, params.chunk);
        const secs = (performance.now() - t0) / 1000;
        return { secs, bytes, mibps: bytes / MiB / secs };
      },
    },
    streams: {
      async prepare() {
        conn = await connect();
        const payload = Buffer.alloc(params.bytes, 0x63);
        await pool(params.warm, params.concurrency, () => exchange(conn, payload, { fins: 0 }));
      },
      async run() {
        const payload = Buffer.alloc(params.bytes, 0x63);
        const tally = { fins: 0 };
        const t0 = performance.now();
        const { done, stalled, end } = await pool(params.count, params.concurrency, () =>
          exchange(conn, payload, tally),
        );
        const secs = (end - t0) / 1000;
        await sleep(200);
        const bytes = done * params.bytes * 2;
        return { secs, done, stalled, finMissing: done - tally.fins, bytes, mibps: bytes / MiB / secs };
      },
    },
    // One connection is saturated; how do a timer and another connection fare?
    fair: {
      async prepare() {
        conn = await connect();
        held[0] = await connect();
        await bulkOnce(conn, params.warmMib, params.chunk);
        const payload = Buffer.alloc(params.bytes, 0x62);
        await pool(params.warm, params.concurrency, () => exchange(held[0], payload, { fins: 0 }));
      },
      async run() {
        const payload = Buffer.alloc(params.bytes, 0x62);
        const latencies = [];
        let isOver = false;
        const lateness = watchLateness();
        const t0 = performance.now();
        const callers = Array.from({ length: params.concurrency }, async () => {
          while (!isOver) {
            const t = performance.now();
            await exchange(held[0], payload, { fins: 0 });
            latencies.push(performance.now() - t);
            await sleep(1);
          }
        });
        const bytes = await bulkOnce(conn, params.mib, params.chunk);
        const secs = (performance.now() - t0) / 1000;
        const late = lateness();
        isOver = true;
        await Promise.all(callers);
        const rpcMs = percentiles(latencies);
        return { secs, bytes, mibps: bytes / MiB / secs, lateP99: late.p99, rpcP99: rpcMs.p99 };
      },
    },
    rpc,
    rpc1: rpc,
    hs,
    hs32: hs,
    idle500: idle,
    idle2000: idle,
    dgram: {
      async prepare() {
        conn = await connect();
        const payload = Buffer.alloc(params.bytes, 0x64);
        for (let i = 0; i < params.warm; i++) {
          const r = conn.sendDatagram(payload);
          if (typeof r === 'object') await r;
          if (i % 50 === 0) await sleep(1);
        }
        await sleep(300);
      },
      // Send as fast as the peer's own interface accepts. `false` = refused (queue
      // full): let the event loop turn and offer the same datagram again.
      async run() {
        const payload = Buffer.alloc(params.bytes, 0x64);
        const t0 = performance.now();
        let refused = 0;
        for (let i = 0; i < params.count; i++) {
          for (;;) {
            let r = conn.sendDatagram(payload);
            if (typeof r === 'object') r = await r;
            if (r !== false) break;
            refused++;
            await new Promise(setImmediate);
          }
          if (i % 32 === 31) await new Promise(setImmediate);
        }
        const secs = (performance.now() - t0) / 1000;
        await sleep(params.settleMs);
        return { secs, sent: params.count, refused };
      },
    },
  }[workload];
}
