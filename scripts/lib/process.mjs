// Runs other programs: shown live, or captured for a step that speaks only when it fails.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

import { fail } from './terminal.mjs';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const isWindows = process.platform === 'win32';

/** What the scripts remember between runs; git ignores it. */
export const stateDir = path.join(root, '.setup');

const children = new Set();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    for (const child of children) stop(child);
    process.exit(130);
  });
}

/** The full path of a program on PATH, or undefined. Spawns nothing. */
export function findProgram(name) {
  const suffixes = isWindows ? (process.env.PATHEXT ?? '.EXE').split(';') : [''];
  for (const directory of (process.env.PATH ?? '').split(path.delimiter)) {
    for (const suffix of suffixes) {
      const file = path.join(directory, name + suffix);
      try {
        fs.accessSync(file, fs.constants.X_OK);
        if (fs.statSync(file).isFile()) return file;
      } catch {
        // Not here: try the next one.
      }
    }
  }
  return undefined;
}

/** The command that runs a JavaScript tool of ours with this very Node. */
export function nodeTool(packageName, file) {
  return [process.execPath, path.join(root, 'node_modules', packageName, file)];
}

/**
 * Runs a command in the project's root; resolves to `{ code, output }`, never rejects.
 * `show` passes the output on as it comes; `onLine` gets each line, without colours; `log` also writes it to a file.
 * With neither `onLine`, `log` nor `capture`, a shown command gets our own terminal.
 * `stopWhen`, asked every second, may answer with a reason to stop the command.
 */
export function run(command, { show = false, capture = !show, onLine, log, env = {}, stopWhen } = {}) {
  const [program, ...args] = command;
  const isPiped = capture || onLine !== undefined || log !== undefined;
  const logFile = log === undefined ? undefined : fs.openSync(log, 'w');
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', ...(isPiped ? ['pipe', 'pipe'] : ['inherit', 'inherit'])],
      shell: isWindows && /\.cmd$/i.test(program),
      // A group of its own, so that stopping it also stops what it started.
      detached: !isWindows,
    });
    children.add(child);
    const watch = setInterval(() => {
      const reason = stopWhen?.();
      if (reason === undefined) return;
      process.stderr.write(`${reason}: stopping it\n`);
      clearInterval(watch);
      stop(child);
    }, 1000);
    let output = '';
    const listen = (stream, sink) => {
      let rest = '';
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        if (show) sink.write(text);
        if (logFile !== undefined) fs.writeSync(logFile, text);
        output += text;
        const lines = (rest + text).split('\n');
        rest = lines.pop();
        if (onLine) for (const line of lines) onLine(withoutColours(line));
      });
      stream.on('end', () => {
        if (onLine && rest !== '') onLine(withoutColours(rest));
      });
    };
    if (isPiped) {
      listen(child.stdout, process.stdout);
      listen(child.stderr, process.stderr);
    }
    const finish = (code) => {
      clearInterval(watch);
      children.delete(child);
      if (logFile !== undefined) fs.closeSync(logFile);
      resolve({ code, output });
    };
    child.once('error', (error) => {
      output += `${program}: ${error.message}\n`;
      finish(127);
    });
    child.once('close', (code, signal) => finish(code ?? (signal ? 1 : 0)));
  });
}

function stop(child) {
  try {
    process.kill(isWindows ? child.pid : -child.pid, 'SIGTERM');
  } catch {
    // It has just ended.
  }
}

/** How npm is started: the one that runs us, else the one on PATH. */
export function npm() {
  const script = process.env.npm_execpath;
  if (script !== undefined && /\bnpm-cli\.[cm]?js$/.test(script)) return [process.execPath, script];
  const program = findProgram('npm');
  if (program === undefined) fail('npm is missing');
  return [program];
}

export function withoutColours(text) {
  // eslint-disable-next-line no-control-regex -- escape sequences are what is looked for
  return text.replace(/\x1b\[[0-9;]*[A-Za-z]/g, '');
}

/** What to show of a failed command's output: its beginning, where npm says why, and its end, where cargo does. */
export function excerpt(output, first = 8, last = 32) {
  const lines = withoutColours(output)
    .trimEnd()
    .split('\n')
    .filter((line) => !/^(npm warn|\s+(Compiling|Checking|Downloading|Downloaded|Fresh) )/.test(line));
  if (lines.length <= first + last) return lines.join('\n');
  return [...lines.slice(0, first), '…', ...lines.slice(lines.length - last)].join('\n');
}
