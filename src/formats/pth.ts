// PyTorch's own files (.pth, .pt, .ckpt): the zip format of torch >= 1.6 and the legacy format
// before it. Only tensors in plain containers come out; code in a file is never run. TorchScript is
// not read here.
import { type BinaryFile, withBinaryFile } from "../nn/binary-file.js";
import { call, type DType, scope, Tensor } from "../torch/index.js";
import { ByteCursor, readPickle } from "./pickle.js";
import { isZip, readZipDirectory, readZipEntry } from "./zip.js";

/** A flat run of numbers that tensors are views of; `bytes` are read when they are needed. */
interface Storage {
  readonly key: string;
  readonly dtype: DType;
  readonly itemSize: number;
  /** elements */
  readonly length: number;
}

/** A tensor as the pickle describes it; offset and strides count elements. */
interface View {
  readonly storage: Storage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** What a file holds: its pickled object, and how to read a storage's bytes. */
interface Contents {
  readonly root: unknown;
  readonly read: (storage: Storage) => Uint8Array<ArrayBuffer>;
}

const storageTypes = new Map<string, { dtype: DType; itemSize: number }>([
  ["DoubleStorage", { dtype: "float64", itemSize: 8 }],
  ["FloatStorage", { dtype: "float32", itemSize: 4 }],
  ["HalfStorage", { dtype: "float16", itemSize: 2 }],
  ["BFloat16Storage", { dtype: "bfloat16", itemSize: 2 }],
  ["LongStorage", { dtype: "int64", itemSize: 8 }],
  ["IntStorage", { dtype: "int32", itemSize: 4 }],
  ["ShortStorage", { dtype: "int16", itemSize: 2 }],
  ["CharStorage", { dtype: "int8", itemSize: 1 }],
  ["ByteStorage", { dtype: "uint8", itemSize: 1 }],
  ["BoolStorage", { dtype: "bool", itemSize: 1 }],
]);

/**
 * All that a pickle may name. Values that carry nothing for us (a dtype, a device) become plain
 * data.
 */
const globals: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["collections.OrderedDict", (pairs: readonly [unknown, unknown][] = []) => new Map(pairs)],
  ["collections.defaultdict", () => new Map()],
  ["torch._utils._rebuild_tensor_v2", rebuildTensor],
  ["torch._utils._rebuild_parameter", (view: unknown) => view],
  ["torch.Size", (sizes: unknown) => sizes],
  ["torch.device", (...parts: unknown[]) => parts.join(":")],
  ...[...storageTypes].map(([name, type]) => [`torch.${name}`, type] as const),
  ...[...storageTypes.values()].map(({ dtype }) => [`torch.${dtype}`, dtype] as const),
]);

/**
 * The tensors of a .pth file, on the CPU whatever device they were saved from, contiguous, in their
 * own dtype. Nested containers become dotted names ("state_dict.features.0.weight", "layers.0");
 * other values are left out. Throws where the file is damaged, or holds a Python object beyond
 * tensors and plain containers.
 */
export function readPth(path: string): Record<string, Tensor> {
  return withBinaryFile(path, (file) => {
    try {
      const { root, read } = isZip(file) ? openZip(file) : openLegacy(file);
      return scope(() => materialise(flatten(root), read));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`Expected tensors for ${path}, received an unreadable file: ${reason}`, {
        cause,
      });
    }
  });
}

function openZip(file: BinaryFile): Contents {
  const entries = readZipDirectory(file);
  const pickled = [...entries.values()].find(({ name }) => /^[^/]+\/data\.pkl$/.test(name));
  if (!pickled) throw unreadable("a zip archive without data.pkl");
  const folder = pickled.name.slice(0, -"data.pkl".length);
  const entryBytes = (name: string) => {
    const entry = entries.get(folder + name);
    if (!entry) throw unreadable(`an archive without ${folder}${name}`);
    return readZipEntry(file, entry);
  };
  if (entries.has(`${folder}byteorder`) && asText(entryBytes("byteorder")) !== "little") {
    throw unreadable("big-endian numbers");
  }
  const pickle = entryBytes("data.pkl");
  const root = readPickle(new ByteCursor(inMemory(file.path, pickle)), {
    globals,
    persistent: parseStorage,
  });
  return {
    root,
    read: (storage) => {
      const bytes = entryBytes(`data/${storage.key}`);
      if (bytes.length === storage.length * storage.itemSize) return bytes;
      throw unreadable(`a storage of ${bytes.length} bytes for ${storage.length} elements`);
    },
  };
}

const legacyMagic = 0x1950a86a20f9469cfc6cn;

/**
 * Five pickles (magic, protocol, system, object, storage keys), then each storage: a count and its
 * numbers.
 */
function openLegacy(file: BinaryFile): Contents {
  const cursor = new ByteCursor(file);
  const storages = new Map<string, Storage>();
  const persistent = (id: unknown) => {
    const storage = parseStorage(id);
    storages.set(storage.key, storage);
    return storage;
  };
  const next = () => readPickle(cursor, { globals, persistent });
  if (firstByte(file) !== 0x80 || next() !== legacyMagic) throw unreadable("another format");
  next(); // protocol version
  const system = next();
  if (system instanceof Map && system.get("little_endian") === false) {
    throw unreadable("big-endian numbers");
  }
  const root = next();
  const keys = next();
  if (!Array.isArray(keys)) throw unreadable("no list of storages");

  const offsets = new Map<string, number>();
  let position = cursor.position;
  for (const key of keys) {
    const storage = storages.get(key);
    if (!storage) throw unreadable(`an unknown storage ${key}`);
    offsets.set(key, position + 8);
    position += 8 + storage.length * storage.itemSize;
  }
  const read = (storage: Storage) => {
    const offset = offsets.get(storage.key);
    if (offset === undefined) throw unreadable(`no storage ${storage.key}`);
    const count = new DataView(file.read(offset - 8, 8).buffer).getBigInt64(0, true);
    if (count !== BigInt(storage.length)) throw unreadable(`a storage of ${count} elements`);
    return file.read(offset, storage.length * storage.itemSize);
  };
  return { root, read };
}

const firstByte = (file: BinaryFile): number | undefined =>
  file.size > 0 ? file.read(0, 1)[0] : undefined;

const asText = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).trim();

function inMemory(path: string, bytes: Uint8Array<ArrayBuffer>): BinaryFile {
  const read = (offset: number, length: number) => {
    if (offset + length <= bytes.length) return bytes.slice(offset, offset + length);
    throw new Error(`Expected a whole pickle in ${path}, received one that ends early.`);
  };
  return { path, size: bytes.length, read };
}

const unreadable = (received: string): Error =>
  new Error(
    `Expected what torch.save writes, received ${received}. ` +
      "Fetch it again, or save it as safetensors.",
  );

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

const isCounts = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every(isCount);

/** ("storage", type, key, device, length[, view]) */
function parseStorage(id: unknown): Storage {
  const [kind, type, key, , length, within] = Array.isArray(id) ? id : [];
  const known = [...storageTypes.values()].includes(type);
  if (kind === "storage" && known && typeof key === "string" && isCount(length) && !within) {
    return { ...(type as { dtype: DType; itemSize: number }), key, length };
  }
  throw new Error(
    "Expected a tensor's storage, " +
      `received ${kind === "module" ? "a pickled module" : "another object"}. ` +
      "Save the state_dict() alone: torch.save(model.state_dict(), path).",
  );
}

const isStorage = (value: unknown): value is Storage =>
  typeof value === "object" && value !== null && "key" in value && "itemSize" in value;

/** torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...) -> a checked view. */
function rebuildTensor(storage: unknown, offset: unknown, shape: unknown, strides: unknown): View {
  const isTyped = isStorage(storage) && isCount(offset) && isCounts(shape) && isCounts(strides);
  if (isTyped && shape.length === strides.length) {
    const last = shape.reduce((sum, size, d) => sum + (size - 1) * strides[d]!, offset);
    if (shape.includes(0) || last < storage.length) return { storage, offset, shape, strides };
  }
  throw new Error(
    `Expected a tensor within its storage, received shape [${shape}], strides [${strides}], ` +
      `offset ${offset}. The file is damaged: fetch it again.`,
  );
}

const isView = (value: unknown): value is View =>
  typeof value === "object" && value !== null && "storage" in value && "strides" in value;

const depthLimit = 64; // a pickle can hold a container inside itself
const countLimit = 1_000_000; // or one container a billion times

/** Depth first, in file order: [["state_dict.features.0.weight", view], ...]. */
function flatten(root: unknown): [string, View][] {
  const found: [string, View][] = [];
  const visit = (value: unknown, path: readonly string[]): void => {
    if (path.length > depthLimit || found.length > countLimit) {
      throw new Error(
        "Expected at most a million nested tensors, received more. Is it a checkpoint?",
      );
    }
    if (isView(value)) found.push([path.join("."), value]);
    else if (value instanceof Map || Array.isArray(value)) {
      for (const [key, item] of value.entries()) visit(item, [...path, String(key)]);
    }
  };
  visit(root, []);
  return found;
}

/** Reads each storage once, copies its views out of it, and drops it before the next. */
function materialise(
  views: readonly [string, View][],
  read: Contents["read"],
): Record<string, Tensor> {
  const byStorage = new Map<string, Map<string, View>>();
  for (const [name, view] of views) {
    const key = `${view.storage.dtype}/${view.storage.key}`;
    byStorage.set(key, (byStorage.get(key) ?? new Map()).set(name, view));
  }
  const tensors = new Map<string, Tensor>();
  for (const members of byStorage.values()) {
    const copies = scope(() => {
      const { storage } = [...members.values()][0]!;
      const flat = Tensor.fromBytes(read(storage), [storage.length], { dtype: storage.dtype });
      return [...members].map(([name, view]) => ({ name, tensor: copyView(flat, view) }));
    });
    for (const { name, tensor } of copies) tensors.set(name, tensor);
  }
  return Object.fromEntries(views.map(([name]) => [name, tensors.get(name)!]));
}

const contiguousFormat = 0; // c10::MemoryFormat

function copyView(flat: Tensor, { shape, strides, offset }: View): Tensor {
  return call("clone", call("as_strided", flat, shape, strides, offset), contiguousFormat);
}
