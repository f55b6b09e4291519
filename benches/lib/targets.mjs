// What this package has to reach, in ratios to its rivals.

import { median } from './report.mjs';

const OURS = 'polykey-quic';

/** Name, workload, ours, rival, metric, and what the ratio has to be, if anything. */
const RATIOS = [
  ['bulk, MiB/s', 'bulk', OURS, 'node-tls', 'mibps', '>=', 0.8],
  ['bulk, MiB/s', 'bulk', OURS, 'libp2p-quic', 'mibps', '>=', 2],
  ['bulk, CPU per GiB', 'bulk', OURS, 'native-gso', 'cpuPerGiB', '<=', 2],
  ['portable: bulk, MiB/s', 'bulk', `${OURS}-portable`, 'node-tls', 'mibps', '>=', 0.25],
  ['small buffers: bulk, MiB/s', 'bulk', `${OURS}-stock`, 'node-tls', 'mibps'],
  ['streams, MiB/s', 'streams', OURS, 'node-http2', 'mibps', '>=', 1.2],
  ['rpc, per second', 'rpc', OURS, 'node-http2', 'rps', '>=', 2.5],
  ['rpc, p99', 'rpc', OURS, 'node-http2', 'p99us', '<=', 1],
  ['rpc, CPU per request', 'rpc', OURS, 'node-http2', 'cpuUsPerReq', '<=', 0.4],
  ['web streams: rpc, per second', 'rpc', `${OURS}-webstreams`, 'node-http2', 'rps', '>=', 1.2],
  ['rpc1, p50', 'rpc1', OURS, 'node-http2', 'p50us', '<=', 0.6],
  ['hs, per second', 'hs', OURS, 'native-plain', 'hps', '>=', 0.65],
  ['hs, per second', 'hs', OURS, 'libp2p-quic', 'hps', '>=', 1],
  ['`ca`: hs, per second', 'hs', `${OURS}-ca`, 'native-plain', 'hps'],
  ['`ca`: hs, per second', 'hs', `${OURS}-ca`, 'libp2p-quic', 'hps'],
  ['hs32, per second', 'hs32', OURS, 'native-plain', 'hps', '>=', 0.65],
  ['hs32, per second', 'hs32', OURS, 'libp2p-quic', 'hps', '>=', 1],
  ['`ca`: hs32, per second', 'hs32', `${OURS}-ca`, 'native-plain', 'hps'],
  ['`ca`: hs32, per second', 'hs32', `${OURS}-ca`, 'libp2p-quic', 'hps'],
  ['dgram, delivered per second', 'dgram', OURS, 'native-plain', 'deliveredps', '>=', 0.4],
];

/** Name, workload, metric, and what our own figure has to be. */
const FIGURES = [
  ['idle, KiB per connection, server', 'idle2000', 'serverKiBPerConn', '<=', 60],
  ['idle, KiB per connection, client', 'idle2000', 'clientKiBPerConn', '<=', 60],
  ['streams, lost ends', 'streams', 'stalled', '<=', 0],
  ['rpc, lost ends', 'rpc', 'stalled', '<=', 0],
  ['dgram, delivered, %', 'dgram', 'deliveredPct', '>=', 99],
  ['fair, p99 of another rpc, ms', 'fair', 'rpcP99ms', '<=', 20],
  ['fair, lateness of a timer, client, p99, ms', 'fair', 'lateClientMs', '<=', 5],
  ['fair, lateness of a timer, server, p99, ms', 'fair', 'lateServerMs', '<=', 5],
];

/** All that the targets speak of. */
export const TARGET_PEERS = [...new Set(RATIOS.flatMap(([, , ours, rival]) => [ours, rival]))].sort();

/**
 * A table of the ratios of one run, the median over the repetitions of ours to the rival's in the same one. A ratio of
 * rates counts only where the rival's own largest and smallest are less than 1.5 apart.
 */
export function targets({ runs }) {
  const byRep = (workload, peer, metric) => {
    const found = runs.filter((run) => run.ok && run.workload === workload && run.peer === peer);
    return new Map(found.map((run) => [run.rep, run.metrics[metric]]).filter(([, value]) => value !== undefined));
  };
  const met = (value, sign, bound) => {
    if (sign === undefined) return '';
    return (sign === '>=' ? value >= bound : value <= bound) ? 'yes' : '**no**';
  };
  const rows = [];
  for (const [name, workload, ours, rival, metric, sign, bound] of RATIOS) {
    const [a, b] = [byRep(workload, ours, metric), byRep(workload, rival, metric)];
    const ratios = [...a].filter(([rep]) => b.has(rep)).map(([rep, value]) => value / b.get(rep));
    if (ratios.length === 0) continue;
    const spread = Math.max(...b.values()) / Math.min(...b.values());
    const ratio = median(ratios);
    const wanted = sign === undefined ? '' : `${sign} ${bound}`;
    rows.push([name, `× ${rival}`, ratio.toFixed(3), wanted, met(ratio, sign, bound), spread.toFixed(2)]);
  }
  for (const [name, workload, metric, sign, bound] of FIGURES) {
    const values = [...byRep(workload, OURS, metric).values()];
    if (values.length === 0) continue;
    rows.push([name, '', median(values).toFixed(1), `${sign} ${bound}`, met(median(values), sign, bound), '']);
  }
  if (rows.length === 0) return '';
  const head = ['', '', 'measured', 'wanted', 'met', 'max/min of the rival'];
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return ['### Targets', '', line(head), line(['---', '---', '---:', '---:', '---', '---:']), ...rows.map(line)].join(
    '\n',
  );
}
