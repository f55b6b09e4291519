// The list of names that __tests__/contract counts on, held against the package itself.

import { createRequire } from 'node:module';
import path from 'node:path';
import * as names from '../contract/names';
import { installed, isOriginal, testPolykey } from './agents';

type Package = Record<string, object> & { native: { quiche: object } };

/** Inner parts of 1.3.0's addon: iterators of what its connections answer. */
const ITERATORS = ['StreamIter', 'PathStatsIter', 'HostIter'];

testPolykey('the list of public names is whole, and all are there', () => {
  const required = createRequire(path.join(installed!, 'package.json'))('@matrixai/quic') as Package;
  const sets: [object, string[]][] = [
    [required, names.main],
    [required['utils'], names.utils],
    [required['errors'], names.errors],
    [required['events'], names.events],
    [required.native, names.native],
    [required.native.quiche, names.quiche],
  ];
  for (const [namespace, listed] of sets) {
    const found = Object.keys(namespace).filter((name) => !ITERATORS.includes(name));
    // With @matrixai/quic itself: nothing was forgotten.
    if (isOriginal) expect(found.sort()).toEqual([...listed].sort());
    else expect(found).toEqual(expect.arrayContaining(listed));
  }
});

testPolykey('the deep path gives the same CryptoError as the main entry', () => {
  const require = createRequire(path.join(installed!, 'package.json'));
  const main = require('@matrixai/quic') as { native: { CryptoError: object } };
  const native = require('@matrixai/quic/dist/native') as { CryptoError: object };
  expect(native.CryptoError).toBe(main.native.CryptoError);
});

testPolykey("errors and events extend the application's own copies", () => {
  type Classes = Record<string, { prototype: object }>;
  const require = createRequire(path.join(installed!, 'package.json'));
  const { errors, events } = require('@matrixai/quic') as { errors: Classes; events: Classes };
  const { AbstractError } = require('@matrixai/errors') as { AbstractError: new () => Error };
  const { AbstractEvent } = require('@matrixai/events') as { AbstractEvent: new () => Event };
  for (const { prototype } of Object.values(errors)) expect(prototype).toBeInstanceOf(AbstractError);
  for (const { prototype } of Object.values(events)) expect(prototype).toBeInstanceOf(AbstractEvent);
});
