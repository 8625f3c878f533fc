// Protocol buffers' wire format, written: the few field kinds that ONNX files need. Nothing is read here.
// A message is a list of parts whose lengths are known and whose bytes may come later, so that weights of gigabytes pass
// through one at a time.

/** A run of bytes, made when it is written. */
export interface Part {
  readonly length: number;
  bytes(): Uint8Array;
}

const part = (bytes: Uint8Array): Part => ({ length: bytes.length, bytes: () => bytes });

function varint(value: number | bigint): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value)); // a negative number takes ten bytes
  const bytes: number[] = [];
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest ? low | 128 : low);
  } while (rest);
  return Uint8Array.from(bytes);
}

const wire = { varint: 0, delimited: 2, fixed32: 5 } as const;
const tag = (field: number, kind: keyof typeof wire) => varint((field << 3) | wire[kind]);

/** One message; fields are kept in the order they are added. */
export class Message {
  readonly #parts: Part[] = [];

  /** int32, int64 or an enumeration. */
  int(field: number, value: number | bigint): this {
    this.#parts.push(part(tag(field, "varint")), part(varint(value)));
    return this;
  }
  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    this.#parts.push(part(tag(field, "fixed32")), part(bytes));
    return this;
  }
  string(field: number, value: string): this {
    return this.#delimited(field, [part(new TextEncoder().encode(value))]);
  }
  bytes(field: number, value: Part): this {
    return this.#delimited(field, [value]);
  }
  message(field: number, value: Message): this {
    return this.#delimited(field, value.parts);
  }
  /** A repeated int64, packed. */
  ints(field: number, values: readonly number[]): this {
    return this.#delimited(
      field,
      values.map((value) => part(varint(value))),
    );
  }

  get parts(): readonly Part[] {
    return this.#parts;
  }
  get length(): number {
    return this.#parts.reduce((sum, { length }) => sum + length, 0);
  }

  #delimited(field: number, parts: readonly Part[]): this {
    const length = parts.reduce((sum, next) => sum + next.length, 0);
    this.#parts.push(part(tag(field, "delimited")), part(varint(length)));
    for (const next of parts) this.#parts.push(next);
    return this;
  }
}
