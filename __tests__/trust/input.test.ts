import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { QUICClient, QUICServer, errors } from '../../lib';
import type { QUICServerConfigInput } from '../../lib';
import type { Algorithm } from '../helpers/certificates';
import { createAuthority, createChain, createIdentity } from '../helpers/certificates';

const { ca, issue } = createAuthority();
const mine = issue();
const garbage = 'Bag Attributes\n    friendlyName: mine\nnot base64 ÄÖÜ\n';

/** Whether a server with this can be dialled by a client that trusts `anchors`. */
async function serves(config: QUICServerConfigInput, anchors: string | string[] = ca): Promise<void> {
  await using server = new QUICServer({ config });
  await server.start({ host: '127.0.0.1' });
  const options = { host: '127.0.0.1', port: server.port, localHost: '127.0.0.1', config: { ca: anchors } };
  await (await QUICClient.createQUICClient(options)).destroy();
}

const shapes: [string, (pem: string) => string][] = [
  ['CRLF', (pem) => pem.replaceAll('\n', '\r\n')],
  ['no final newline', (pem) => pem.trimEnd()],
  ['text before', (pem) => garbage + pem],
  ['text behind', (pem) => pem + garbage],
  ['empty lines around', (pem) => `\n\n${pem}\n\n`],
  ['a byte order mark', (pem) => `\uFEFF${pem}`],
  ['NUL bytes around', (pem) => `\0\0\n${pem}\0\0\n`],
  ['long lines of text around', (pem) => `${'x'.repeat(2000)}\n${pem}${'y'.repeat(2000)}\n`],
  ['its base64 in one line', (pem) => pem.replaceAll(/(?<=[A-Za-z0-9+/=])\n(?=[A-Za-z0-9+/])/g, '')],
  ['spaces at the ends of lines', (pem) => pem.replaceAll('\n', '  \n')],
];

test.each(shapes)('PEM with %s is as good as any', async (_, change) => {
  await serves({ key: change(mine.key), cert: change(mine.cert) }, change(ca));
});

test('text may stand between the certificates of a chain, and of a list of anchors', async () => {
  const { key, cert } = createChain(['Ed25519', 'P-256', 'Ed25519']);
  const root = cert.slice(cert.lastIndexOf('-----BEGIN'));
  const between = (pem: string): string => pem.replaceAll('-----BEGIN', `${garbage}-----BEGIN`);
  await serves({ key, cert: between(cert) }, between(ca + root));
});

test.each<[string, Algorithm, 'pkcs1' | 'sec1' | 'pkcs8']>([
  ['PKCS#8', 'RSA', 'pkcs8'],
  ['PKCS#1', 'RSA', 'pkcs1'],
  ['SEC 1', 'P-256', 'sec1'],
  ['SEC 1', 'P-384', 'sec1'],
])('a key may be in the form of %s (%s)', async (_, algorithm, type) => {
  const authority = createAuthority(algorithm);
  const { key, cert } = authority.issue();
  const other = createPrivateKey(key).export({ type: type, format: 'pem' }).toString();
  await serves({ key: other, cert }, authority.ca);
});

test('key and chain may stand in one text, of which only certificates are shown', async () => {
  const both = mine.key + mine.cert;
  await using server = new QUICServer({ config: { key: both, cert: both } });
  await server.start({ host: '127.0.0.1' });
  const options = { host: '127.0.0.1', port: server.port, localHost: '127.0.0.1' };
  const config = { ...mine, ca: ca + mine.key, cert: mine.cert + mine.key };
  await using client = await QUICClient.createQUICClient({ ...options, config });
  const { localCertsChain, localCACertsChain, remoteCertsChain } = client.connection.meta();
  expect([localCertsChain.length, localCACertsChain.length]).toEqual([1, 1]);
  expect(remoteCertsChain).toEqual(localCertsChain);
  await client.connection.confirmed;
  expect(server.connections.map((connection) => connection.getLocalCertsChain())).toEqual([remoteCertsChain]);
});

test('anchors may stand in one text, or each in its own', async () => {
  const others = [createAuthority().ca, createAuthority('P-256').ca];
  await serves(mine, [...others, ca].join(''));
  await serves(mine, [...others, ca]);
});

describe('is refused with a word of advice', () => {
  const encrypted = createPrivateKey(mine.key).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'secret',
  });
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const encryptedRSA = rsa.export({ type: 'pkcs1', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' });
  const publicKey = createPublicKey(mine.key).export({ type: 'spki', format: 'pem' }).toString();
  const cut = mine.cert.slice(0, mine.cert.length / 2);
  const other = createIdentity();
  const [leaf, link] = createChain(['Ed25519', 'Ed25519']).cert.match(/-----BEGIN[^]*?-----END CERTIFICATE-----\n/g)!;

  test.each<[string, { key: string | Buffer; cert: string; ca?: string }, RegExp]>([
    ['an encrypted key', { ...mine, key: encrypted.toString() }, /key: is encrypted: decrypt it first/],
    [
      'a PKCS#1 key with an encrypted body',
      { ...mine, key: encryptedRSA.toString() },
      /^key: is encrypted: decrypt it/,
    ],
    ['nothing for a key', { ...mine, key: '' }, /^key: is no private key that can be read: give one in PEM form/],
    ['a public key', { ...mine, key: publicKey }, /^key: is no private key that can be read/],
    [
      'a key in DER',
      { ...mine, key: createPrivateKey(mine.key).export({ type: 'pkcs8', format: 'der' }) },
      /^key: is no/,
    ],
    ['a key without its end', { ...mine, key: mine.key.slice(0, 60) }, /^key: is no private key that can be read/],
    ['a key in UTF-16', { ...mine, key: Buffer.from(mine.key, 'utf16le') }, /^key: is no private key that can be read/],
    ['an indented certificate', { ...mine, ca: `${ca}  ${ca}` }, /^ca: holds a certificate that doesn't begin a line/],
    [
      'one behind a text',
      { ...mine, cert: `${mine.cert}root: ${ca}` },
      /^cert: holds a certificate that doesn't begin/,
    ],
    ['several keys', { ...mine, key: mine.key + other.key }, /^key: holds several private keys/],
    ['a certificate for a key', { ...mine, key: mine.cert }, /^key: is no private key that can be read/],
    ['a key for a certificate', { ...mine, cert: mine.key }, /^cert: holds no certificate/],
    ['garbage for a key', { ...mine, key: garbage }, /^key: is no private key that can be read/],
    ['garbage for a chain', { ...mine, cert: garbage }, /^cert: holds no certificate/],
    ['nothing for a chain', { ...mine, cert: '' }, /^cert: holds no certificate/],
    ['half a chain', { ...mine, cert: cut }, /^cert: holds a certificate that can't be read: give a chain in PEM/],
    [
      'bad base64',
      { ...mine, cert: mine.cert.replace(/[A-Za-z]{4}\n/, '!!!!\n') },
      /^cert: holds a certificate that can't be read/,
    ],
    [
      'a chain of rubbish',
      { ...mine, cert: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' },
      /^cert/,
    ],
    ['the key of another chain', { ...mine, key: other.key }, /^key: is not the key of the first certificate/],
    ['a chain in the wrong order', { ...mine, cert: link + leaf }, /^key: is not the key of the first certificate/],
    ['too long a chain', { ...mine, cert: mine.cert + ca.repeat(64) }, /^cert: has more than 64/],
    ['garbage for anchors', { ...mine, ca: garbage }, /^ca: holds no certificate/],
    ['half an anchor', { ...mine, ca: ca + cut }, /^ca: holds a certificate that can't be read: give trust anchors/],
  ])('%s', (_, config, message) => {
    const create = () => new QUICServer({ config });
    expect(create).toThrow(errors.ErrorQUICConfig);
    expect(create).toThrow(message);
    // Never what was given: it may be a secret.
    expect(create).not.toThrow(/BEGIN|[A-Za-z0-9+/]{30}/);
  });
});
