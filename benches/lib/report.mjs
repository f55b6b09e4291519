// Medians, min-max and ratios against the baseline; markdown tables.
export const median = (v) => {
  const s = [...v].sort((a, b) => a - b);
  const n = s.length;
  return n % 2 ? s[(n - 1) / 2] : (s[n / 2 - 1] + s[n / 2]) / 2;
};

// metric -> [label, 'higher' | 'lower' is better, digits]
export const METRICS = {
  mibps: ['MiB/s', 'higher', 1],
  cpuClientPerGiB: ['CPU s/GiB client', 'lower', 2],
  cpuServerPerGiB: ['CPU s/GiB server', 'lower', 2],
  cpuPerGiB: ['CPU s/GiB both', 'lower', 2],
  rps: ['req/s', 'higher', 0],
  p50us: ['p50 µs', 'lower', 0],
  p99us: ['p99 µs', 'lower', 0],
  cpuUsPerReq: ['CPU µs/req both', 'lower', 1],
  stalled: ['lost ends', 'lower', 0],
  hps: ['handshakes/s', 'higher', 1],
  cpuMsClient: ['CPU ms/hs client', 'lower', 2],
  cpuMsServer: ['CPU ms/hs server', 'lower', 2],
  cpuMsPerHs: ['CPU ms/hs both', 'lower', 2],
  openSecs: ['open all, s', 'lower', 2],
  serverKiBPerConn: ['server KiB/conn', 'lower', 1],
  clientKiBPerConn: ['client KiB/conn', 'lower', 1],
  rpcP99ms: ['rpc p99, ms', 'lower', 2],
  lateClientMs: ['timer late p99, ms, client', 'lower', 2],
  lateServerMs: ['timer late p99, ms, server', 'lower', 2],
  sentps: ['sent/s', 'higher', 0],
  deliveredPct: ['% delivered', 'higher', 1],
  deliveredps: ['delivered/s', 'higher', 0],
  cpuUsPerDgram: ['CPU µs/delivered', 'lower', 1],
};

export function summarize({ runs, baseline }) {
  const out = {};
  for (const workload of new Set(runs.map((r) => r.workload))) {
    out[workload] = {};
    const of = (p) => runs.filter((r) => r.workload === workload && r.peer === p);
    const base = of(baseline).filter((r) => r.ok);
    for (const peer of new Set(runs.filter((r) => r.workload === workload).map((r) => r.peer))) {
      const mine = of(peer);
      const good = mine.filter((r) => r.ok);
      if (!good.length) {
        out[workload][peer] = { ok: false, error: mine[0].error.split('\n')[0] };
        continue;
      }
      const s = { ok: true, n: good.length, failed: mine.length - good.length, metrics: {} };
      for (const k of Object.keys(good[0].metrics)) {
        const v = good.map((r) => r.metrics[k]);
        const m = { median: median(v), min: Math.min(...v), max: Math.max(...v) };
        // Paired by repetition: same minute, same machine load.
        const pairs = good.map((r) => [r, base.find((b) => b.rep === r.rep)]).filter(([, b]) => b);
        if (pairs.length) {
          const ratios = pairs.map(([r, b]) => r.metrics[k] / b.metrics[k]);
          m.ratio = median(ratios);
          m.ratioMin = Math.min(...ratios);
          m.ratioMax = Math.max(...ratios);
        }
        s.metrics[k] = m;
      }
      out[workload][peer] = s;
    }
  }
  return out;
}

const num = (v, d) => (Number.isFinite(v) ? v.toFixed(d) : '-');
const ratio = (v) => (Number.isFinite(v) ? (v >= 100 ? v.toFixed(0) : v.toPrecision(3)) : '-');

export function markdown({ summary, baseline, runs, versions = {} }) {
  const lines = [];
  for (const [workload, peers] of Object.entries(summary)) {
    const any = Object.values(peers).find((p) => p.ok);
    const params = runs.find((r) => r.workload === workload)?.params;
    lines.push(`\n### ${workload}  ${JSON.stringify(params)}\n`);
    if (!any) {
      for (const [p, s] of Object.entries(peers)) lines.push(`- ${p}: ${s.error}`);
      continue;
    }
    const keys = Object.keys(any.metrics);
    lines.push(`| peer | ${keys.map((k) => `${METRICS[k][0]} (min–max) | ×base`).join(' | ')} |`);
    lines.push(`|---|${keys.map(() => '---:|---:|').join('')}`);
    const first = keys[0];
    const dir = METRICS[first][1] === 'higher' ? -1 : 1;
    const sorted = Object.entries(peers).sort(([, a], [, b]) =>
      a.ok && b.ok ? dir * (a.metrics[first].median - b.metrics[first].median) : Number(b.ok) - Number(a.ok),
    );
    for (const [p, s] of sorted) {
      const label = p === baseline ? `**${p}**` : p;
      if (!s.ok) {
        lines.push(`| ${label} | FAILED: ${s.error.slice(0, 120)} |`);
        continue;
      }
      const cells = keys.map((k) => {
        const m = s.metrics[k];
        const d = METRICS[k][2];
        if (k === 'stalled')
          return `${num(m.median, d)}${m.max > m.min ? ` (${num(m.min, d)}–${num(m.max, d)})` : ''} |`;
        return `${num(m.median, d)} (${num(m.min, d)}–${num(m.max, d)}) | ${ratio(m.ratio)}`;
      });
      lines.push(`| ${label}${s.failed ? ` (${s.failed} failed)` : ''} | ${cells.join(' | ')} |`);
    }
  }
  const v = Object.entries(versions).filter(([, x]) => x);
  if (v.length) lines.push('', 'Versions: ' + v.map(([p, x]) => `${p} ${x}`).join('; '));
  return lines.join('\n');
}
