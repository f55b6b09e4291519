import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { QUICServerConfigInput } from '../../lib';
import { QUICServer, events, native } from '../../lib';
import { createAuthority } from '../helpers/certificates';
import { ForeignPeer, prints, testWith } from '../helpers/foreignPeer';
import { nextEvent, recordEvents } from '../helpers/pair';

const { CryptoError } = native;

/** OpenSSL speaks QUIC since 3.2; `OPENSSL` names one that isn't on the path. It has a client only. */
const openssl = process.env['OPENSSL'] ?? 'openssl';

// Its trace is wanted as it is written.
const isThere = prints(openssl, ['s_client', '-help'], /-quic\b/) && prints('stdbuf', ['--version'], /stdbuf/);
const testOpenssl = testWith(
  isThere,
  "openssl's view of our alerts needs openssl 3.2 or newer (OPENSSL=path) and stdbuf",
);

const { ca, issue } = createAuthority('P-256');
const mine = issue();
let files = { folder: '', ca: '', key: '', cert: '' };

beforeAll(() => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'polykey-quic-'));
  const write = (name: string, text: string): string => {
    const file = path.join(folder, name);
    fs.writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  files = { folder, ca: write('ca.pem', ca), key: write('key.pem', mine.key), cert: write('cert.pem', mine.cert) };
});

afterAll(() => fs.rmSync(files.folder, { recursive: true }));

async function startServer(config: Partial<QUICServerConfigInput>) {
  const server = new QUICServer({ config: { ...issue(), verifyPeer: true, applicationProtos: ['test'], ...config } });
  await server.start({ host: '127.0.0.1' });
  return { server, names: recordEvents(server), [Symbol.asyncDispose]: () => server.stop() };
}

/** `openssl s_client`, with its trace of every frame. */
function connect({ port }: QUICServer, withCertificate = true): ForeignPeer {
  const client = ['s_client', '-quic', '-trace', '-alpn', 'test', '-connect', `127.0.0.1:${port}`, '-CAfile', files.ca];
  const own = withCertificate ? ['-key', files.key, '-cert', files.cert] : [];
  return new ForeignPeer('stdbuf', ['-oL', openssl, ...client, ...own]);
}

const CLOSED = /Received Frame: Connection close \((\w+)\)\s+Error Code: (\d+)/;

describe("openssl's client hears", () => {
  const refuse = (alert: native.CryptoError) => () => Promise.resolve(alert);

  testOpenssl.each<[string, Partial<QUICServerConfigInput>, native.CryptoError]>([
    ['CertificateRevoked', { verifyCallback: refuse(CryptoError.CertificateRevoked) }, CryptoError.CertificateRevoked],
    ['AccessDenied', { verifyCallback: refuse(CryptoError.AccessDenied) }, CryptoError.AccessDenied],
    ['UnknownCA', { verifyCallback: refuse(CryptoError.UnknownCA) }, CryptoError.UnknownCA],
    ['InternalError, when the answer is nonsense', { verifyCallback: () => 7 as never }, CryptoError.InternalError],
    ['UnknownCA of the chain check', { ca: createAuthority().ca }, CryptoError.UnknownCA],
  ])('%s', async (_, config, alert) => {
    await using to = await startServer(config);
    await using client = connect(to.server);
    const [, kind, code] = await client.says(CLOSED);
    expect([kind, Number(code)]).toEqual(['transport', alert]);
    expect(to.names).toEqual([]);
  });

  testOpenssl('CertificateRequired', async () => {
    await using to = await startServer({ verifyCallback: () => undefined });
    await using client = connect(to.server, false);
    const [, kind, code] = await client.says(CLOSED);
    expect([kind, Number(code)]).toEqual(['transport', CryptoError.CertificateRequired]);
    expect(to.names).toEqual([]);
  });

  testOpenssl('that it is trusted, and with what code the application closes', async () => {
    await using to = await startServer({ ca });
    const admitted = nextEvent<events.EventQUICServerConnection>(to.server, events.EventQUICServerConnection);
    await using client = connect(to.server);
    const { detail } = await admitted;
    expect(detail.getRemoteCertsChain().length).toBeGreaterThan(0);
    void detail.stop({ errorCode: 42 });
    const [, kind, code] = await client.says(CLOSED);
    expect([kind, Number(code)]).toEqual(['app', 42]);
  });
});
