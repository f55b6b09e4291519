// The names and their relations that programs written for @matrixai/quic 1.3.0 count on.

import { AbstractError } from '@matrixai/errors';
import { AbstractEvent } from '@matrixai/events';
import * as quic from '../../lib';
import * as nativeByPath from '../../lib/native';
import * as names from './names';

type Named = abstract new (...args: never[]) => unknown;

/** Pairs of names and classes of a namespace. */
function classes(namespace: object): [string, Named][] {
  const entries = Object.entries(namespace) as [string, unknown][];
  return entries.filter((entry): entry is [string, Named] => typeof entry[1] === 'function');
}

// Of 1.3.0's list these are left out: inner parts (QUICConnectionMap, the `…Send` events, `native.quiche` with its
// enumerations), and helpers that only its own server used (mintToken, validateToken, isStreamStopped, isStreamReset).
test('every public name is there', () => {
  expect(Object.keys(quic)).toEqual(expect.arrayContaining(names.main));
  expect(Object.keys(quic.utils)).toEqual(expect.arrayContaining(names.utils));
  expect(Object.keys(quic.errors)).toEqual(expect.arrayContaining(names.errors));
  expect(Object.keys(quic.events)).toEqual(expect.arrayContaining(names.events));
  expect(Object.keys(quic.native)).toEqual(expect.arrayContaining(names.native));
});

test('the deep path gives the same objects as the main entry', () => {
  expect(nativeByPath.CryptoError).toBe(quic.native.CryptoError);
  expect(quic.native.CryptoError.BadCertificate).toBe(298);
  expect(quic.native.CryptoError[304]).toBe('UnknownCA');
});

test('classes bear the names by which they are exported', () => {
  const { QUICSocket, QUICServer, QUICClient, QUICConnection, QUICConnectionId, QUICStream } = quic;
  const main = { QUICSocket, QUICServer, QUICClient, QUICConnection, QUICConnectionId, QUICStream };
  const all = [main, quic.errors, quic.events].flatMap(classes);
  expect(all.map(([, Class]) => Class.name)).toEqual(all.map(([name]) => name));
});

test('errors are errors of the application, and of ours', () => {
  const { ErrorQUIC, ...others } = quic.errors;
  expect(ErrorQUIC.prototype).toBeInstanceOf(AbstractError);
  for (const [, Class] of classes(others)) expect(Class.prototype).toBeInstanceOf(ErrorQUIC);
});

test('events are events of the application, of the type of their name', () => {
  for (const [name, Class] of classes(quic.events)) {
    expect(Class.prototype).toBeInstanceOf(AbstractEvent);
    const event = new (Class as new (options: { detail: undefined }) => Event)({ detail: undefined });
    expect(event.type).toBe(name);
  }
});

test('what TLS refused is caught as what it is, and by who refused', () => {
  const { ErrorQUICConnectionLocal, ErrorQUICConnectionLocalTLS, ErrorQUICConnectionPeer, ErrorQUICConnectionPeerTLS } =
    quic.errors;
  expect(ErrorQUICConnectionLocalTLS.prototype).toBeInstanceOf(ErrorQUICConnectionLocal);
  // Better on purpose: in 1.3.0 it extends Local. Polykey asks for both in one breath, so nothing changes for it.
  expect(ErrorQUICConnectionPeerTLS.prototype).toBeInstanceOf(ErrorQUICConnectionPeer);
  expect(ErrorQUICConnectionPeerTLS.prototype).not.toBeInstanceOf(ErrorQUICConnectionLocal);
  expect(quic.errors.ErrorQUICConnectionIdleTimeout.prototype).not.toBeInstanceOf(ErrorQUICConnectionLocal);
  expect(quic.errors.ErrorQUICConnectionIdleTimeout.prototype).not.toBeInstanceOf(ErrorQUICConnectionPeer);
});

test('errors travel as JSON', () => {
  const error = new quic.errors.ErrorQUICConnectionPeer('gone', {
    data: { isApp: true, errorCode: 7, reason: new Uint8Array(0) },
  });
  const { type, data } = JSON.parse(JSON.stringify(error)) as { type: string; data: { data: unknown } };
  expect(type).toBe('ErrorQUICConnectionPeer');
  expect(data.data).toMatchObject({ isApp: true, errorCode: 7 });
});
