import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A key with its certificate, as files would hold them, and the certificate's DER. */
export interface Identity {
  key: Buffer;
  cert: Buffer;
  der: Buffer;
}

const cache = new Map<string, Identity>();

/** A self-signed Ed25519 identity; the same name gives the same one within a test file. */
export function identity(name: string): Identity {
  let made = cache.get(name);
  if (made === undefined) {
    made = selfSigned(name);
    cache.set(name, made);
  }
  return made;
}

function selfSigned(name: string): Identity {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'raw-'));
  const file = (suffix: string): string => path.join(directory, suffix);
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name},IP:10.0.0.2`];
  const output = ['-keyout', file('key.pem'), '-out', file('cert.pem'), '-nodes', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ed25519', ...output, ...subject], { stdio: 'ignore' });
  const [key, cert] = [fs.readFileSync(file('key.pem')), fs.readFileSync(file('cert.pem'))];
  const der = Buffer.from(cert.toString().replace(/-----[^-]+-----|\s/g, ''), 'base64');
  fs.rmSync(directory, { recursive: true });
  return { key, cert, der };
}
