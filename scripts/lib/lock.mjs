// One set-up at a time in one working copy.

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

/** Runs `action` while this process alone holds the lock; `onWait(pid)` is told once of the holder it waits for. */
export async function withLock(file, onWait, action) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  let hasWaited = false;
  while (!tryLock(file)) {
    const holder = readHolder(file);
    if (holder !== undefined && !isAlive(holder)) {
      dropLockOf(holder, file);
      continue;
    }
    if (!hasWaited && holder !== undefined) {
      hasWaited = true;
      onWait(holder);
    }
    await sleep(200);
  }
  const release = () => fs.rmSync(file, { force: true });
  process.once('exit', release); // also after a signal or `fail`
  try {
    return await action();
  } finally {
    process.off('exit', release);
    release();
  }
}

/** Writes the process id first and links it into place, so that no lock is ever seen empty. */
function tryLock(file) {
  const own = `${file}.${process.pid}`;
  fs.writeFileSync(own, String(process.pid));
  try {
    fs.linkSync(own, file);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  } finally {
    fs.rmSync(own, { force: true });
  }
}

/** A lock left by a killed process. Moved before it is removed: of two that find it, one moves it. */
function dropLockOf(holder, file) {
  const moved = `${file}.stale.${process.pid}`;
  try {
    fs.renameSync(file, moved);
    // Another process may have cleared the stale lock and taken its own in between: give that one back.
    if (readHolder(moved) !== holder) fs.linkSync(moved, file);
  } catch {
    // Somebody else was faster: look again.
  }
  fs.rmSync(moved, { force: true });
}

function readHolder(file) {
  try {
    return Number(fs.readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
