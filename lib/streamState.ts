/** One direction of a stream. Writing is `ending` while its end waits to be taken. */
type Half =
  | { readonly status: 'open' }
  | { readonly status: 'ending' }
  | { readonly status: 'ended' }
  | { readonly status: 'failed'; readonly reason: unknown };

const OPEN: Half = { status: 'open' };
const ENDING: Half = { status: 'ending' };
const ENDED: Half = { status: 'ended' };

const next: Record<Half['status'], readonly Half['status'][]> = {
  open: ['ending', 'ended', 'failed'],
  ending: ['ended', 'failed'],
  ended: [],
  failed: [],
};

function advance(from: Half, to: Half): Half {
  if (!next[from.status].includes(to.status)) throw new Error(`${from.status} can't become ${to.status}`);
  return to;
}

function isClosed(half: Half): boolean {
  return half.status === 'ended' || half.status === 'failed';
}

function failureOf(half: Half): { reason: unknown } | null {
  return half.status === 'failed' ? { reason: half.reason } : null;
}

export type { Half };
export { ENDED, ENDING, OPEN, advance, failureOf, isClosed };
