import type { Ending } from './endings';
import * as errors from './errors';

/** How far a connection is. */
type State =
  | { readonly status: 'starting' }
  | { readonly status: 'running' }
  /** Waits for its streams to end. */
  | { readonly status: 'stopping' }
  /** Says goodbye, or heard it. */
  | { readonly status: 'closing'; readonly ending: Ending }
  | { readonly status: 'closed'; readonly ending: Ending };

/** What may follow each state. */
const next: Record<State['status'], readonly State['status'][]> = {
  starting: ['running', 'closing'],
  running: ['stopping', 'closing'],
  stopping: ['closing'],
  closing: ['closed'],
  closed: [],
};

/** Throws unless one may follow the other: a fault of ours. */
function advance(from: State, to: State): State {
  if (!next[from.status].includes(to.status)) throw new Error(`${from.status} can't become ${to.status}`);
  return to;
}

/** Throws what a call gets that needs a connection which is neither at its beginning nor at its end. */
function expectRunning({ status }: State): void {
  if (status === 'stopping') throw new errors.ErrorQUICConnectionStopping('The connection is about to end');
  if (status !== 'running') throw new errors.ErrorQUICConnectionNotRunning('The connection has ended');
}

export type { State };
export { advance, expectRunning };
