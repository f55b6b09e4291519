import type { StopOptions, TimerLike } from '../types';
import type { Abortable } from './promise';
import { isUint8Array } from 'node:util/types';

// What callers hand over, checked at the door: TypeScript keeps most of it out, JavaScript doesn't.

/** `null` is unset, too: programs written for `@matrixai/quic` may give it. */
function isSet<T>(value: T): value is NonNullable<T> {
  return value !== undefined && value !== null;
}

/** @throws {TypeError} it is something else */
function expectBytes(value: unknown, name: string): asserts value is Uint8Array {
  if (!isUint8Array(value)) throw notBytes(value, name);
}

function notBytes(value: unknown, name: string): TypeError {
  const hint = typeof value === 'string' ? ': Buffer.from(text) makes one of a text' : '';
  return new TypeError(`${name} is ${nameOf(value)}, and has to be a Uint8Array${hint}`);
}

/** @throws {TypeError} it is something else */
function expectStreamType(type: unknown): asserts type is 'bidi' | 'uni' {
  if (type !== 'bidi' && type !== 'uni') throw new TypeError(`type is ${String(type)}, and has to be 'bidi' or 'uni'`);
}

/**
 * @throws {RangeError} the urgency can't be
 * @throws {TypeError} the other is something else
 */
function expectPriority(urgency: unknown, incremental: unknown): void {
  if (!Number.isInteger(urgency) || (urgency as number) < 0 || (urgency as number) > 255) {
    throw new RangeError(`urgency is ${String(urgency)}, and has to be an integer from 0 to 255`);
  }
  if (typeof incremental !== 'boolean') throw new TypeError(notA('incremental', incremental, 'a boolean'));
}

/**
 * A signal to wait by, if there is one; `null` is none.
 *
 * @throws {TypeError} it is something else
 */
function toSignal(signal: unknown): Abortable | undefined {
  if (!isSet(signal)) return undefined;
  const { aborted, addEventListener } = signal as Partial<Abortable>;
  if (typeof aborted !== 'boolean' || typeof addEventListener !== 'function') {
    throw new TypeError(notA('signal', signal, 'an AbortSignal'));
  }
  return signal as Abortable;
}

/**
 * How long to wait; `undefined`, and `null`, if nothing is said.
 *
 * @throws {RangeError} it is no number of milliseconds
 */
function toTimeout(timeout: unknown, name = 'timeout'): number | undefined {
  if (!isSet(timeout)) return undefined;
  if (typeof timeout === 'number' && timeout >= 0) return timeout;
  throw new RangeError(`${name} is ${describe(timeout)}, and has to be milliseconds, 0 or more`);
}

/**
 * The same, or a timer.
 *
 * @throws {TypeError} it is neither
 */
function toTimer(timer: unknown): number | TimerLike | undefined {
  if (!isSet(timer)) return undefined;
  const isTimer = typeof timer === 'number' || typeof (timer as Partial<TimerLike>).then === 'function';
  if (isTimer && !Number.isNaN(timer)) return timer as number | TimerLike;
  throw new TypeError(`timer is ${describe(timer)}, and has to be milliseconds, or a timer`);
}

/** What a stop was asked to do: checked, and with all defaults. */
type StopRequest = Required<Pick<StopOptions, 'isApp' | 'errorCode' | 'reason' | 'force' | 'flush' | 'timeout'>> & {
  signal: Abortable | undefined;
};

/**
 * @throws {RangeError} a number can't be
 * @throws {TypeError} something has another type
 */
function toStopRequest(options: StopOptions = {}): StopRequest {
  const errorCode = options.errorCode ?? 0;
  const reason = options.reason ?? NO_REASON;
  if (!Number.isSafeInteger(errorCode) || errorCode < 0) {
    throw new RangeError(`errorCode is ${describe(errorCode)}, and has to be an integer from 0 to 2^53-1`);
  }
  expectBytes(reason, 'reason');
  return {
    isApp: toFlag('isApp', options.isApp, true),
    errorCode,
    reason,
    force: toFlag('force', options.force, true),
    flush: toFlag('flush', options.flush, false),
    timeout: toTimeout(options.timeout) ?? Infinity,
    signal: toSignal(options.signal),
  };
}

const NO_REASON = new Uint8Array(0);

function toFlag(name: string, value: unknown, unset: boolean): boolean {
  if (!isSet(value)) return unset;
  if (typeof value !== 'boolean') throw new TypeError(notA(name, value, 'a boolean'));
  return value;
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** @throws {TypeError} it lacks a method: without it the first message would be the failure */
function expectLogger<Name extends 'getChild' | (typeof LEVELS)[number]>(
  logger: Record<Name, unknown>,
  methods: readonly Name[],
): void {
  const missing = methods.filter((name) => typeof (logger as Partial<typeof logger> | null)?.[name] !== 'function');
  if (missing.length > 0) throw new TypeError(`logger has no ${missing.join(', ')}: it needs ${methods.join(', ')}`);
}

function notA(name: string, value: unknown, type: string): string {
  return `${name} is ${describe(value)}, and has to be ${type}`;
}

/** A value as a message tells it: numbers and short texts as they are. */
function describe(value: unknown): string {
  if (typeof value === 'string' && value.length <= 20) return `'${value}'`;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : nameOf(value);
}

function nameOf(value: unknown): string {
  if (!isSet(value)) return String(value);
  const name = Object.prototype.toString.call(value).slice(8, -1);
  return `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name}`;
}

export type { StopRequest };
export {
  LEVELS,
  describe,
  expectBytes,
  expectLogger,
  expectPriority,
  expectStreamType,
  isSet,
  notA,
  notBytes,
  toSignal,
  toStopRequest,
  toTimeout,
  toTimer,
};
