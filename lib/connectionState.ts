import type * as errors from './errors';

/** How far a connection is. */
type State =
  | { readonly status: 'starting' }
  | { readonly status: 'running' }
  /** Waits for its streams to end. */
  | { readonly status: 'stopping' }
  /** Says goodbye, or heard it. */
  | { readonly status: 'closing'; readonly error: errors.ErrorQUICConnection }
  | { readonly status: 'closed'; readonly error: errors.ErrorQUICConnection };

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
