// Installs what peers need:   node setup-peers.mjs [all | peer ...]        by default those that the targets speak of
import { loadAdapters } from './lib/adapters.mjs';
import { installFor } from './lib/install.mjs';

const asked = await loadAdapters(process.argv.slice(2).join(',') || undefined);
const able = await installFor(asked);
if (Object.keys(able).length < Object.keys(asked).length) process.exitCode = 1;
