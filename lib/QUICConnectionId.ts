/** A connection id: bytes that print as hexadecimal. */
class QUICConnectionId extends Uint8Array {
  /** What is derived from it is plain bytes. */
  static get [Symbol.species](): Uint8ArrayConstructor {
    return Uint8Array;
  }

  static fromString(id: string): QUICConnectionId {
    return new this(Buffer.from(id, 'hex'));
  }

  /** Shares the buffer's memory. */
  static fromBuffer(id: Buffer): QUICConnectionId {
    return new this(id.buffer as ArrayBuffer, id.byteOffset, id.byteLength);
  }

  get string(): string {
    return this.toString();
  }

  override toString(): string {
    return this.toBuffer().toString('hex');
  }

  /** Shares this id's memory. */
  toBuffer(): Buffer {
    return Buffer.from(this.buffer, this.byteOffset, this.byteLength);
  }

  [Symbol.toPrimitive](): string {
    return this.toString();
  }
}

export default QUICConnectionId;
