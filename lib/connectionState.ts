import type { Ending } from './endings';

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

export type { State };
export { next };
