import type { TimerLike } from '../types';

/** setTimeout takes no more: what is longer has no end for us. */
const LONGEST_DELAY = 0x7fff_ffff;

/** Calls back when the time has run out, of a number of milliseconds or of a timer; answers how to stop waiting. */
function onTimeout(timer: number | TimerLike | undefined, callback: () => void): () => void {
  if (timer === undefined) return () => undefined;
  if (typeof timer === 'number') {
    if (!(timer <= LONGEST_DELAY)) return () => undefined;
    const handle = setTimeout(callback, Math.max(0, timer));
    return () => clearTimeout(handle);
  }
  let isWanted = true;
  timer.then(
    () => {
      if (isWanted) callback();
    },
    // Cancelled: it has no end then.
    () => undefined,
  );
  return () => {
    isWanted = false;
  };
}

export { LONGEST_DELAY, onTimeout };
