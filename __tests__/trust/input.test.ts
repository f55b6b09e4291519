import { createPrivateKey } from 'node:crypto';
import { QUICClient, QUICServer, errors } from '../../lib';
import type { QUICServerConfigInput } from '../../lib';
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
];

test.each(shapes)('PEM with %s is as good as any', async (_, change) => {
  await serves({ key: change(mine.key), cert: change(mine.cert) }, change(ca));
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
  const cut = mine.cert.slice(0, mine.cert.length / 2);
  const other = createIdentity();
  const [leaf, link] = createChain(['Ed25519', 'Ed25519']).cert.match(/-----BEGIN[^]*?-----END CERTIFICATE-----\n/g)!;

  test.each<[string, { key: string; cert: string; ca?: string }, RegExp]>([
    ['an encrypted key', { ...mine, key: encrypted.toString() }, /key: is encrypted: decrypt it first/],
    ['several keys', { ...mine, key: mine.key + other.key }, /^key: holds several private keys/],
    ['a certificate for a key', { ...mine, key: mine.cert }, /^key/],
    ['a key for a certificate', { ...mine, cert: mine.key }, /^cert: holds no certificate/],
    ['garbage for a key', { ...mine, key: garbage }, /^key/],
    ['garbage for a chain', { ...mine, cert: garbage }, /^cert: holds no certificate/],
    ['nothing for a chain', { ...mine, cert: '' }, /^cert: holds no certificate/],
    ['half a chain', { ...mine, cert: cut }, /^cert/],
    ['bad base64', { ...mine, cert: mine.cert.replace(/[A-Za-z]{4}\n/, '!!!!\n') }, /^cert/],
    [
      'a chain of rubbish',
      { ...mine, cert: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' },
      /^cert/,
    ],
    ['the key of another chain', { ...mine, key: other.key }, /^key: is not the key of the first certificate/],
    ['a chain in the wrong order', { ...mine, cert: link + leaf }, /^key: is not the key of the first certificate/],
    ['too long a chain', { ...mine, cert: mine.cert + ca.repeat(64) }, /^cert: has more than 64/],
    ['garbage for anchors', { ...mine, ca: garbage }, /^ca: holds no certificate/],
    ['half an anchor', { ...mine, ca: ca + cut }, /^ca/],
  ])('%s', (_, config, message) => {
    const create = () => new QUICServer({ config });
    expect(create).toThrow(errors.ErrorQUICConfig);
    expect(create).toThrow(message);
    // Never what was given: it may be a secret.
    expect(create).not.toThrow(/BEGIN|[A-Za-z0-9+/]{30}/);
  });
});
