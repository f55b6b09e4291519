import type { StreamCodeToReason, StreamReasonToCode } from './types';

/** The code for a reason: 0 without a translation, or where it gives what can't be a code. */
function toCode(translate: StreamReasonToCode | undefined, type: 'read' | 'write', reason: unknown): number {
  try {
    const code = translate?.(type, reason) ?? 0;
    return Number.isSafeInteger(code) && code >= 0 ? code : 0;
  } catch {
    return 0;
  }
}

/** The reason for a code: an error that names it without a translation, or where that throws. */
function toReason(translate: StreamCodeToReason | undefined, type: 'read' | 'write', code: number): unknown {
  try {
    if (translate !== undefined) return translate(type, code);
  } catch {
    // The application has no reason for this code.
  }
  return new Error(`${type} ${code}`);
}

export { toCode, toReason };
