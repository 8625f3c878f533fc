// A graph as an ONNX file: ModelProto's fields by number (onnx.proto), IR version 9, opset 20. Weights above a limit go to a
// file of their own beside it, since a protocol buffer ends at 2 GB.
import { basename } from "node:path";
import { replaceFile, writeFully } from "../atomic-file.js";
import { version } from "../version.js";
import {
  type Attribute,
  type Graph,
  type Initializer,
  type Node,
  onnxType,
  type Port,
} from "./graph.js";
import { Message } from "./protobuf.js";

export const opset = 20;
const irVersion = 9;
const smallest = 1024; // bytes: smaller tensors stay, since shapes are inferred from them
const alignment = 4096; // of each tensor in the file of weights, so that a runtime may map it

export interface ModelFileOptions {
  /** Free text by key, which runtimes hand out. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Bytes of weights above which they go to `<path>.data`. Default: 1 GB. */
  readonly externalAbove?: number;
}

/** Writes `path`, and `path`.data where the weights are large. Returns the files' paths. */
export function writeModelFile(path: string, graph: Graph, options: ModelFileOptions): string[] {
  const { externalAbove = 1e9 } = options;
  const total = graph.initializers.reduce((sum, { data }) => sum + data.length, 0);
  const weights = `${path}.data`;
  const isExternal = total > externalAbove;
  const large = isExternal ? graph.initializers.filter(({ data }) => data.length >= smallest) : [];
  const places = placesOf(large);
  if (isExternal) writeWeights(weights, places);
  const tensors = graph.initializers.map((initializer) =>
    tensorOf(initializer, { file: basename(weights), offset: places.get(initializer) }),
  );
  const model = modelOf(graph, tensors, options.metadata);
  replaceFile(path, (fd) => {
    for (const part of model.parts) writeFully(fd, part.bytes());
  });
  return isExternal ? [path, weights] : [path];
}

/** Where each tensor begins in the file of weights. */
function placesOf(initializers: readonly Initializer[]): Map<Initializer, number> {
  let end = 0;
  const places = initializers.map((initializer) => {
    const start = Math.ceil(end / alignment) * alignment;
    end = start + initializer.data.length;
    return [initializer, start] as const;
  });
  return new Map(places);
}

function writeWeights(path: string, places: ReadonlyMap<Initializer, number>): void {
  replaceFile(path, (fd) => {
    let written = 0;
    for (const [{ data }, start] of places) {
      writeFully(fd, new Uint8Array(start - written));
      writeFully(fd, data.bytes());
      written = start + data.length;
    }
  });
}

function modelOf(
  graph: Graph,
  tensors: readonly Message[],
  metadata: ModelFileOptions["metadata"],
): Message {
  const body = new Message();
  for (const node of graph.nodes) body.message(1, nodeOf(node));
  body.string(2, "vitok");
  for (const tensor of tensors) body.message(5, tensor);
  for (const port of graph.inputs) body.message(11, portOf(port));
  for (const port of graph.outputs) body.message(12, portOf(port));
  const model = new Message().int(1, irVersion).string(2, "vitok").string(3, version);
  model.message(7, body).message(8, new Message().string(1, "").int(2, opset));
  for (const [key, value] of Object.entries(metadata)) model.message(14, entryOf(key, value));
  return model;
}

const entryOf = (key: string, value: string) => new Message().string(1, key).string(2, value);

function nodeOf({ op, inputs, outputs, attributes }: Node): Message {
  const node = new Message();
  for (const name of inputs) node.string(1, name);
  for (const name of outputs) node.string(2, name);
  node.string(3, outputs[0]!).string(4, op);
  for (const [name, value] of Object.entries(attributes)) node.message(5, attributeOf(name, value));
  return node;
}

/** AttributeProto; field 20 says the kind: 1 float, 2 int, 3 string, 7 ints. */
function attributeOf(name: string, value: Attribute): Message {
  const attribute = new Message().string(1, name);
  if (typeof value === "number") return attribute.int(3, value).int(20, 2);
  if (typeof value === "string") return attribute.string(4, value).int(20, 3);
  if ("float" in value) return attribute.float(2, value.float).int(20, 1);
  for (const item of value) attribute.int(8, item);
  return attribute.int(20, 7);
}

/** TensorProto, its bytes in it or in the file of weights. */
function tensorOf(
  { name, dtype, dims, data }: Initializer,
  { file, offset }: { file: string; offset: number | undefined },
): Message {
  const tensor = new Message().ints(1, dims).int(2, onnxType(dtype)).string(8, name);
  if (offset === undefined) return tensor.bytes(9, data);
  const entries = { location: file, offset, length: data.length };
  for (const [key, value] of Object.entries(entries)) tensor.message(13, entryOf(key, `${value}`));
  return tensor.int(14, 1);
}

function portOf({ name, dtype, dims, summary }: Port): Message {
  const shape = new Message();
  for (const dim of dims)
    shape.message(
      1,
      typeof dim === "number" ? new Message().int(1, dim) : new Message().string(2, dim),
    );
  const type = new Message().message(1, new Message().int(1, onnxType(dtype)).message(2, shape));
  return new Message().string(1, name).message(2, type).string(3, summary);
}
