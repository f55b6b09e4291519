import * as errors from './errors';

/** Reading was given up, by us. */
function localRead(code: number, cause: unknown): errors.ErrorQUICStreamLocalRead {
  return new errors.ErrorQUICStreamLocalRead('Reading was given up', { data: { code }, cause });
}

/** Writing was given up, by us. */
function localWrite(code: number, cause: unknown): errors.ErrorQUICStreamLocalWrite {
  return new errors.ErrorQUICStreamLocalWrite('Writing was given up', { data: { code }, cause });
}

/** The peer writes no more. */
function peerRead(code: number, cause: unknown): errors.ErrorQUICStreamPeerRead {
  return new errors.ErrorQUICStreamPeerRead(`The peer reset the stream with code ${code}`, { data: { code }, cause });
}

/** The peer reads no more. */
function peerWrite(code: number, cause: unknown): errors.ErrorQUICStreamPeerWrite {
  return new errors.ErrorQUICStreamPeerWrite(`The peer stopped the stream with code ${code}`, {
    data: { code },
    cause,
  });
}

export { localRead, localWrite, peerRead, peerWrite };
