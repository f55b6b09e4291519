import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { QUICClientConfigInput, QUICServerConfigInput } from '../../lib';
import { QUICClient, QUICServer, errors, events, native } from '../../lib';
import { createAuthority } from '../helpers/certificates';
import { ForeignPeer, prints, testWith } from '../helpers/foreignPeer';
import { nextEvent, recordEvents } from '../helpers/pair';

const { CryptoError } = native;

/** A Python that has aioquic; `PYTHON` names one that isn't on the path. */
const python = process.env['PYTHON'] ?? 'python3';
const isThere = prints(python, ['-c', 'import aioquic; print("there")'], /there/);
const testAioquic = testWith(isThere, "aioquic's view of our alerts needs a Python that has it (PYTHON=path)");

const program = path.join(__dirname, '..', 'helpers', 'aioquic_peer.py');
const { ca, issue } = createAuthority('P-256');
const theirs = issue();
let files = { folder: '', key: '', cert: '' };

beforeAll(() => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'polykey-quic-'));
  files = { folder, key: path.join(folder, 'key.pem'), cert: path.join(folder, 'cert.pem') };
  fs.writeFileSync(files.key, theirs.key, { mode: 0o600 });
  fs.writeFileSync(files.cert, theirs.cert);
});

afterAll(() => fs.rmSync(files.folder, { recursive: true }));

function aioquic(role: 'client' | 'server', port = 0, hasCertificate = true): ForeignPeer {
  const own = hasCertificate ? { key: files.key, cert: files.cert } : {};
  return new ForeignPeer(python, [program, JSON.stringify({ role, port, ...own })]);
}

const CLOSED = /"event": "closed", "code": (\d+)/;

const refusals: [string, () => unknown, native.CryptoError][] = [
  ['CertificateRevoked', () => Promise.resolve(CryptoError.CertificateRevoked), CryptoError.CertificateRevoked],
  ['AccessDenied', () => CryptoError.AccessDenied, CryptoError.AccessDenied],
  ['BadCertificate of a callback that rejects', () => Promise.reject(new Error('broken')), CryptoError.BadCertificate],
  ['InternalError of one that answers nonsense', () => 'nonsense', CryptoError.InternalError],
];

describe("aioquic's client", () => {
  async function startServer(config: Partial<QUICServerConfigInput>) {
    const server = new QUICServer({ config: { ...issue(), verifyPeer: true, applicationProtos: ['test'], ...config } });
    await server.start({ host: '127.0.0.1' });
    return { server, names: recordEvents(server), [Symbol.asyncDispose]: () => server.stop() };
  }

  testAioquic.each(refusals)('hears %s', async (_, verifyCallback, alert) => {
    await using to = await startServer({ verifyCallback: verifyCallback as never });
    await using client = aioquic('client', to.server.port);
    expect(Number((await client.says(CLOSED))[1])).toBe(alert);
    // What it sent on a stream meanwhile has reached nobody.
    expect(to.names).toEqual([]);
  });

  testAioquic('hears that a certificate is required', async () => {
    await using to = await startServer({ verifyCallback: () => undefined });
    await using client = aioquic('client', to.server.port, false);
    expect(Number((await client.says(CLOSED))[1])).toBe(CryptoError.CertificateRequired);
    expect(to.names).toEqual([]);
  });

  testAioquic('is served when it is trusted', async () => {
    await using to = await startServer({ ca });
    const admitted = nextEvent<events.EventQUICServerConnection>(to.server, events.EventQUICServerConnection);
    await using client = aioquic('client', to.server.port);
    const { detail: far } = await admitted;
    const { detail: stream } = await nextEvent<events.EventQUICConnectionStream>(far, events.EventQUICConnectionStream);
    for await (const chunk of stream) await stream.write(chunk);
    await stream.end();
    await client.says(/"text": "hello"/);
  });
});

describe("aioquic's server", () => {
  async function dial(server: ForeignPeer, config: QUICClientConfigInput) {
    const port = Number((await server.says(/"port": (\d+)/))[1]);
    const own = { ...issue(), applicationProtos: ['test'], ...config };
    return QUICClient.createQUICClient({ host: '127.0.0.1', port, localHost: '127.0.0.1', config: own });
  }

  testAioquic.each(refusals)('hears %s', async (_, verifyCallback, alert) => {
    await using server = aioquic('server');
    const dialled = dial(server, { verifyCallback: verifyCallback as never });
    await expect(dialled).rejects.toMatchObject({ code: 'ConnectionLocalTLS', data: { errorCode: alert } });
    expect(Number((await server.says(CLOSED))[1])).toBe(alert);
  });

  testAioquic('hears that nobody whom we trust issued its chain', async () => {
    await using server = aioquic('server');
    await expect(dial(server, { ca: createAuthority().ca })).rejects.toThrow(errors.ErrorQUICConnectionLocalTLS);
    expect(Number((await server.says(CLOSED))[1])).toBe(CryptoError.UnknownCA);
  });

  testAioquic('is trusted, and judges us', async () => {
    await using server = aioquic('server');
    await using client = await dial(server, { ca });
    await client.connection.confirmed;
    const stream = client.connection.newStream();
    await stream.end(Buffer.from('hello'));
    await server.says(/"text": "hello"/);
  });
});
