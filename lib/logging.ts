import type { LoggerLike } from './types';
import { setLogger } from './native';

/** A logger for those who gave none. */
const silent: LoggerLike = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  getChild: () => silent,
};

/** How much quiche tells. `trace` writes about every packet, and slows everything down. */
type NativeLogLevel = 'error' | 'warn' | 'info' | 'debug' | 'trace';

/**
 * Sends quiche's own log, of all connections of this process, to a logger; `null` ends it. Its messages hold no keys, but
 * addresses and connection ids.
 */
function logNative(logger: LoggerLike | null, level: NativeLogLevel = 'warn'): void {
  if (logger === null) setLogger(null);
  else setLogger((messageLevel, target, message) => write(logger, messageLevel, `${target}: ${message}`), level);
}

function write(logger: LoggerLike, level: string, message: string): void {
  if (level === 'error' || level === 'warn' || level === 'info') logger[level](message);
  else logger.debug(message);
}

export type { NativeLogLevel };
export { silent, logNative };
