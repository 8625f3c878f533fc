// Python's pickle format (protocols 2 to 5), read as data. It is not an interpreter: no module is
// imported, no class is made; a name outside the caller's allow-list is an error that says which.
// Dicts become Maps.
import type { BinaryFile } from "../nn/binary-file.js";

/** Reads forward through a file; small reads are served from one block. */
export class ByteCursor {
  position = 0;
  #block: Uint8Array = new Uint8Array();
  #blockStart = 0;

  constructor(readonly file: BinaryFile) {}

  take(length: number): Uint8Array {
    let from = this.position - this.#blockStart;
    if (from < 0 || from + length > this.#block.length) {
      const rest = this.file.size - this.position;
      this.#block = this.file.read(this.position, Math.max(length, Math.min(rest, 1 << 16)));
      this.#blockStart = this.position;
      from = 0;
    }
    this.position += length;
    return this.#block.subarray(from, from + length);
  }
}

export interface PickleOptions {
  /**
   * "module.name" -> what it stands for; a function is called where Python would have called it.
   */
  readonly globals: ReadonlyMap<string, unknown>;
  /** Resolves an object stored outside the pickle (a tensor's storage). */
  readonly persistent: (id: unknown) => unknown;
}

/** The one object of the pickle at the cursor, which is left behind its last byte. */
export function readPickle(cursor: ByteCursor, options: PickleOptions): unknown {
  const machine = new PickleMachine(cursor, options);
  for (;;) {
    const code = cursor.take(1)[0]!;
    if (code === stop) return machine.pop();
    const operation = operations.get(code) ?? fail(`opcode 0x${code.toString(16)}`);
    operation(machine);
  }
}

function fail(received: string): never {
  throw new Error(
    `Expected a pickle of tensors and plain containers, received ${received}. ` +
      "If the file is whole, save its state_dict() alone: torch.save(model.state_dict(), path).",
  );
}

const text = new TextDecoder();
const mark = Symbol("mark");
const stop = ".".charCodeAt(0);

/** The stack, the memo and the operands; one operation of the table below at a time. */
class PickleMachine {
  readonly stack: unknown[] = [];
  readonly memo = new Map<number, unknown>();

  constructor(
    readonly cursor: ByteCursor,
    readonly options: PickleOptions,
  ) {}

  pop(): unknown {
    return this.stack.length > 0 ? this.stack.pop() : fail("an empty stack");
  }

  push(value: unknown): void {
    this.stack.push(value);
  }

  top(): unknown {
    return this.stack.length > 0 ? this.stack.at(-1) : fail("an empty stack");
  }

  popToMark(): unknown[] {
    const at = this.stack.lastIndexOf(mark);
    if (at < 0) fail("a missing mark");
    const values = this.stack.splice(at);
    return values.slice(1);
  }

  popMany(count: number): unknown[] {
    return this.stack.length >= count ? this.stack.splice(-count) : fail("an empty stack");
  }

  view(length: number): DataView {
    const bytes = this.cursor.take(length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  uint8 = () => this.view(1).getUint8(0);
  uint16 = () => this.view(2).getUint16(0, true);
  uint32 = () => this.view(4).getUint32(0, true);
  uint64 = () => Number(this.view(8).getBigUint64(0, true));

  string = (length: number) => text.decode(this.cursor.take(length));

  line(): string {
    const bytes: number[] = [];
    for (let byte = this.uint8(); byte !== 10; byte = this.uint8()) bytes.push(byte);
    return text.decode(Uint8Array.from(bytes));
  }

  /** A little-endian two's complement integer; a bigint where a number would round it. */
  long(length: number): number | bigint {
    const hex = Buffer.from(this.cursor.take(length)).reverse().toString("hex");
    const value = BigInt.asIntN(8 * length, BigInt(`0x0${hex}`));
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  global(module: unknown, name: unknown): void {
    const path = `${module}.${name}`;
    if (!this.options.globals.has(path)) fail(`the Python object ${path}`);
    this.push(this.options.globals.get(path));
  }

  reduce(): void {
    const [callee, values] = this.popMany(2);
    if (typeof callee !== "function" || !Array.isArray(values))
      fail("a call of what is no function");
    else this.push(callee(...values));
  }

  setItems(pairs: unknown[]): void {
    const map = this.top();
    if (!(map instanceof Map) || pairs.length % 2 > 0) fail("items for what is no dict");
    else for (let i = 0; i < pairs.length; i += 2) map.set(pairs[i], pairs[i + 1]);
  }

  append(values: unknown[]): void {
    const list = this.top();
    if (list instanceof Set) for (const value of values) list.add(value);
    else if (Array.isArray(list)) for (const value of values) list.push(value);
    else fail("elements for what is no list");
  }

  remember(index: number): void {
    this.memo.set(index, this.top());
  }

  recall(index: number): void {
    if (!this.memo.has(index)) fail(`an unknown memo ${index}`);
    this.push(this.memo.get(index));
  }
}

/**
 * Python's opcodes by their byte; names as in pickletools. What only code needs (NEWOBJ, INST, EXT)
 * is absent.
 */
const operations = new Map<number, (m: PickleMachine) => void>([
  [0x80, (m) => void m.uint8()], // PROTO
  [0x95, (m) => void m.uint64()], // FRAME
  [0x28, (m) => m.push(mark)], // MARK
  [0x30, (m) => void m.pop()], // POP
  [0x31, (m) => void m.popToMark()], // POP_MARK
  [0x32, (m) => m.push(m.top())], // DUP

  [0x4e, (m) => m.push(null)], // NONE
  [0x88, (m) => m.push(true)], // NEWTRUE
  [0x89, (m) => m.push(false)], // NEWFALSE
  [0x4a, (m) => m.push(m.view(4).getInt32(0, true))], // BININT
  [0x4b, (m) => m.push(m.uint8())], // BININT1
  [0x4d, (m) => m.push(m.uint16())], // BININT2
  [0x8a, (m) => m.push(m.long(m.uint8()))], // LONG1
  [0x8b, (m) => m.push(m.long(m.uint32()))], // LONG4
  [0x47, (m) => m.push(m.view(8).getFloat64(0))], // BINFLOAT, the one big-endian number

  [0x55, (m) => m.push(m.string(m.uint8()))], // SHORT_BINSTRING
  [0x54, (m) => m.push(m.string(m.uint32()))], // BINSTRING
  [0x8c, (m) => m.push(m.string(m.uint8()))], // SHORT_BINUNICODE
  [0x58, (m) => m.push(m.string(m.uint32()))], // BINUNICODE
  [0x8d, (m) => m.push(m.string(m.uint64()))], // BINUNICODE8
  [0x43, (m) => m.push(m.cursor.take(m.uint8()).slice())], // SHORT_BINBYTES
  [0x42, (m) => m.push(m.cursor.take(m.uint32()).slice())], // BINBYTES
  [0x8e, (m) => m.push(m.cursor.take(m.uint64()).slice())], // BINBYTES8

  [0x29, (m) => m.push([])], // EMPTY_TUPLE
  [0x74, (m) => m.push(m.popToMark())], // TUPLE
  [0x85, (m) => m.push(m.popMany(1))], // TUPLE1
  [0x86, (m) => m.push(m.popMany(2))], // TUPLE2
  [0x87, (m) => m.push(m.popMany(3))], // TUPLE3
  [0x5d, (m) => m.push([])], // EMPTY_LIST
  [0x61, (m) => m.append([m.pop()])], // APPEND
  [0x65, (m) => m.append(m.popToMark())], // APPENDS
  [0x7d, (m) => m.push(new Map())], // EMPTY_DICT
  [0x73, (m) => m.setItems(m.popMany(2))], // SETITEM
  [0x75, (m) => m.setItems(m.popToMark())], // SETITEMS
  [0x8f, (m) => m.push(new Set())], // EMPTY_SET
  [0x90, (m) => m.append(m.popToMark())], // ADDITEMS

  [0x71, (m) => m.remember(m.uint8())], // BINPUT
  [0x72, (m) => m.remember(m.uint32())], // LONG_BINPUT
  [0x94, (m) => m.remember(m.memo.size)], // MEMOIZE
  [0x68, (m) => m.recall(m.uint8())], // BINGET
  [0x6a, (m) => m.recall(m.uint32())], // LONG_BINGET

  [0x63, (m) => m.global(m.line(), m.line())], // GLOBAL
  [0x93, (m) => m.global(...(m.popMany(2) as [unknown, unknown]))], // STACK_GLOBAL
  [0x52, (m) => m.reduce()], // REDUCE
  [0x62, (m) => void m.pop()], // BUILD: attributes, as a state dict's `_metadata`; not needed
  [0x51, (m) => m.push(m.options.persistent(m.pop()))], // BINPERSID
]);
