import type { LoggerLike } from './types';
import { setLogger } from './native';
import { LEVELS, expectLogger } from './utils/expect';

/** A logger for those who gave none. */
const silent: LoggerLike = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  getChild: () => silent,
};

/** The logger that was given, or silence. Checked before anything is done: what is bound already wouldn't be let go. */
function toLogger(given: LoggerLike | null | undefined): LoggerLike {
  if (given === undefined || given === null) return silent;
  expectLogger(given, [...LEVELS, 'getChild']);
  return given;
}

/** Whether anybody reads what is logged: what is dear to write needn't be. */
function isHeeded(logger: LoggerLike): boolean {
  return logger !== silent;
}

/** How much quiche tells. `trace` writes about every packet, and slows everything down. */
type NativeLogLevel = 'error' | 'warn' | 'info' | 'debug' | 'trace';

/**
 * Sends quiche's own log, of all connections of this process, to a logger; `null` ends it. Its messages hold no keys, but
 * addresses and connection ids.
 */
function logNative(logger: LoggerLike | null, level: NativeLogLevel = 'warn'): void {
  if (logger !== null) expectLogger(logger, LEVELS);
  if (logger === null) setLogger(null);
  else setLogger((messageLevel, target, message) => write(logger, messageLevel, `${target}: ${message}`), level);
}

function write(logger: LoggerLike, level: string, message: string): void {
  if (level === 'error' || level === 'warn' || level === 'info') logger[level](message);
  else logger.debug(message);
}

export type { NativeLogLevel };
export { toLogger, isHeeded, logNative };
