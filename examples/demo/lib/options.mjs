// The command line of the demo, checked before anything is started.

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Complaint } from './cast.mjs';

export const HELP = `Two peers and a rendezvous, three processes on this machine: the peers learn each other's address, punch,
connect directly, check each other's identity, and move a file.

  npm run demo -- [options]

  --file PATH      the file to send (default: the built addon)
  --out DIR        where to leave the file that was received (default: a temporary folder, removed at the end)
  --port PORT      UDP port of the rendezvous (default: a free one)
  --timeout S      give up after so many seconds (default: 120)
  --nat            put each peer behind a NAT of its own, in network namespaces: needs Linux, root, iproute2 and nftables
  --impostor       B is somebody else, behind the address of the one whom A wants: A must refuse it
  --unknown        A asks for somebody who never registered: an error
  --help

Exit code 0 if the file arrived with the right hash (with --impostor: if nothing was sent), else 1.`;

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** Answers the options; throws a complaint. */
export function readOptions(args) {
  const options = parse(args);
  if (options.help) return options;
  const file = path.resolve(options.file ?? builtAddon());
  checkReadable(file, options.file ?? file);
  const folder = options.out === undefined ? undefined : path.resolve(options.out);
  if (folder !== undefined) checkFolder(folder, options.out, path.basename(file));
  return {
    ...options,
    file,
    out: folder,
    port: integer('--port', options.port, 0, 65_535),
    timeout: integer('--timeout', options.timeout, 1, 86_400),
  };
}

function parse(args) {
  try {
    return parseArgs({
      args,
      options: {
        file: { type: 'string' },
        out: { type: 'string' },
        port: { type: 'string', default: '0' },
        timeout: { type: 'string', default: '120' },
        nat: { type: 'boolean', default: false },
        impostor: { type: 'boolean', default: false },
        unknown: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    // Its first sentence says what is wrong, the others guess.
    throw new Complaint(`${error.message.split('. ')[0]} (--help tells what there is)`);
  }
}

function integer(name, text, least, most) {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (number >= least && number <= most) return number;
  throw new Complaint(`${name} ${text}: expected a number from ${least} to ${most}`);
}

/** A file of some size that everybody has who can run this. */
function builtAddon() {
  const name = fs.readdirSync(root).find((each) => /^polykey-quic\..*\.node$/.test(each));
  if (name === undefined) throw new Complaint('there is no built addon to send: run npm run setup, or name a --file');
  return path.join(root, name);
}

function checkReadable(file, name) {
  let isFile;
  try {
    fs.accessSync(file, fs.constants.R_OK);
    isFile = fs.statSync(file).isFile();
  } catch (error) {
    throw new Complaint(`can't read --file ${name}: ${reason(error)}`);
  }
  if (!isFile) throw new Complaint(`can't send --file ${name}: it is no regular file`);
}

/** Makes the folder if need be. */
function checkFolder(folder, name, fileName) {
  try {
    fs.mkdirSync(folder, { recursive: true });
    fs.accessSync(folder, fs.constants.W_OK);
  } catch (error) {
    throw new Complaint(`can't write to --out ${name}: ${reason(error)}`);
  }
  if (fs.existsSync(path.join(folder, fileName))) throw new Complaint(`--out ${name} has a file ${fileName} already`);
}

function reason(error) {
  const reasons = {
    ENOENT: 'there is no such file',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    ENOTDIR: 'a part of the path is no folder',
    EEXIST: 'it is no folder',
    EROFS: 'the file system is read-only',
  };
  return reasons[error.code] ?? error.message;
}
