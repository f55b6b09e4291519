import type { StopOptions } from '../types';
import { isUint8Array } from 'node:util/types';

// What callers hand over, checked at the door: TypeScript keeps most of it out, JavaScript doesn't.

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
 * @throws {RangeError} a number can't be
 * @throws {TypeError} the reason is no bytes
 */
function expectStopOptions({ errorCode = 0, reason, timeout = 0 }: StopOptions): void {
  if (!Number.isSafeInteger(errorCode) || errorCode < 0) {
    throw new RangeError(`errorCode is ${errorCode}, and has to be an integer from 0 to 2^53-1`);
  }
  if (!(timeout >= 0)) throw new RangeError(`timeout is ${timeout}, and has to be milliseconds, 0 or more`);
  if (reason !== undefined) expectBytes(reason, 'reason');
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

function nameOf(value: unknown): string {
  return value === null || value === undefined
    ? String(value)
    : `a ${Object.prototype.toString.call(value).slice(8, -1)}`;
}

export { LEVELS, expectBytes, expectLogger, notBytes, expectStreamType, expectStopOptions };
