// libtorch's operators as ONNX's (opset 20): a function for each that a tokenizer uses. One that is missing is an error that
// names it; the parity check judges those that are here.
import { isAlike, type Lowering } from "./lowering.js";
import { isFixed, type Size, sameSize } from "./sizes.js";

type Lower = (o: Lowering) => string | string[];

const itself: Lower = (o) => o.name(0);

const unary =
  (op: string): Lower =>
  (o) =>
    o.graph.node(op, [o.name(0)]);

/** x op y, after promotion. libtorch's `alpha` is refused. */
const binary =
  (op: string): Lower =>
  (o) => {
    o.only(2);
    return o.graph.node(op, [o.as(0), o.as(1)]);
  };

const withNumber =
  (op: string): Lower =>
  (o) => {
    o.only(2);
    return o.graph.node(op, [o.as(0), o.graph.scalar(o.number(1), o.out.dtype)]);
  };

const comparison =
  (op: string): Lower =>
  (o) =>
    o.graph.node(op, [o.name(0), o.as(1, o.value(0).dtype)]);

/** A Reshape's target without arithmetic, where copying (0) and inferring (-1) can say it. */
function targetOf(from: readonly Size[], to: readonly Size[]): number[] | undefined {
  const target = to.map((size, axis) => {
    if (isFixed(size)) return size.offset;
    return from[axis] && sameSize(from[axis], size) ? 0 : -1;
  });
  return target.filter((length) => length === -1).length < 2 ? target : undefined;
}

const permuted =
  (order: (o: Lowering, axes: number[]) => number[]): Lower =>
  (o) =>
    o.graph.node("Transpose", [o.name(0)], { perm: order(o, [...o.value(0).dims.keys()]) });

/** Pieces along an axis, of the results' lengths. */
function split(o: Lowering, axis: number): string[] {
  const lengths = o.step.results.map(({ dims }) => dims[axis]!);
  return o.graph.split("Split", [o.name(0), o.graph.shape(lengths)], { axis }, lengths.length);
}

/** Weights are stored as the product reads them, so that no runtime has to turn them round. */
const linear: Lower = (o) => {
  const weight = o.value(1);
  const turned = weight.constant
    ? o.graph.stored(o.name(1), weight.constant(), { isTransposed: true }) // the plain one is pruned
    : o.graph.node("Transpose", [o.name(1)], { perm: [1, 0] });
  const product = o.graph.node("MatMul", [o.name(0), turned]);
  return o.isGiven(2) ? o.graph.node("Add", [product, o.name(2)]) : product;
};

const layerNorm: Lower = (o) => {
  const inputs = [o.name(0), ...[2, 3].filter((i) => o.isGiven(i)).map((i) => o.name(i))];
  const attributes = { axis: -o.numbers(1).length, epsilon: { float: o.number(4) } };
  return o.graph.node("LayerNormalization", inputs, attributes);
};

/** Softmax in float32, as libtorch's kernels have it. */
const attention: Lower = (o) => {
  o.only(3);
  const { graph } = o;
  const { dtype, dims } = o.value(0);
  const headDim = dims.at(-1)!.offset;
  const scaled = graph.node("Mul", [o.name(0), graph.scalar(headDim ** -0.5, dtype)]);
  const turned = graph.node("Transpose", [o.name(1)], { perm: [0, 1, 3, 2] });
  const scores = graph.node("MatMul", [scaled, turned]);
  const isLow = !isAlike(dtype, "float32");
  const wide = isLow ? graph.cast(scores, "float32") : scores;
  const weights = graph.node("Softmax", [wide], { axis: -1 });
  return graph.node("MatMul", [isLow ? graph.cast(weights, dtype) : weights, o.name(2)]);
};

const narrow: Lower = (o) => {
  const [start, length] = [o.size(2), o.size(3)];
  const { graph } = o;
  const end = isFixed(start)
    ? graph.size({ ...length, offset: length.offset + start.offset })
    : graph.node("Add", [graph.size(start), graph.size(length)]);
  return graph.slice(o.name(0), o.axis(1), graph.size(start), end);
};

const arange: Lower = (o) => {
  const { graph } = o;
  const end = graph.node("Squeeze", [graph.size(o.size(0)), graph.ints([0])]);
  return graph.cast(graph.node("Range", [graph.ints(0), end, graph.ints(1)]), o.out.dtype);
};

const clamp: Lower = (o) => {
  const bound = (i: number) => (o.isGiven(i) ? o.graph.scalar(o.number(i), o.out.dtype) : "");
  return o.graph.node("Clip", [o.name(0), bound(1), bound(2)]);
};

const addcmul: Lower = (o) => {
  const { graph } = o;
  const product = graph.node("Mul", [o.as(1), o.as(2)]);
  const factor = o.isGiven(3) ? o.number(3) : 1;
  if (factor === -1) return graph.node("Sub", [o.as(0), product]);
  if (factor === 1) return graph.node("Add", [o.as(0), product]);
  return graph.node("Add", [
    o.as(0),
    graph.node("Mul", [product, graph.scalar(factor, o.out.dtype)]),
  ]);
};

/** Another dtype; devices mean nothing in a file. */
const convert: Lower = (o) => o.as(0);

const shaped: Lower = (o) => {
  const { dims } = o.out;
  const target = targetOf(o.value(0).dims, dims);
  return o.graph.node("Reshape", [o.name(0), target ? o.graph.ints(target) : o.graph.shape(dims)]);
};

const expand: Lower = (o) => o.graph.node("Expand", [o.name(0), o.graph.shape(o.out.dims)]);

export const operators: Readonly<Record<string, Lower>> = {
  // Arithmetic
  "add.Tensor": binary("Add"),
  "add.Scalar": withNumber("Add"),
  "sub.Tensor": binary("Sub"),
  "sub.Scalar": withNumber("Sub"),
  "mul.Tensor": binary("Mul"),
  "mul.Scalar": withNumber("Mul"),
  "div.Tensor": binary("Div"),
  "div.Scalar": withNumber("Div"),
  matmul: binary("MatMul"),
  neg: unary("Neg"),
  exp: unary("Exp"),
  cos: unary("Cos"),
  sin: unary("Sin"),
  sqrt: unary("Sqrt"),
  sigmoid: unary("Sigmoid"),
  tanh: unary("Tanh"),
  silu: (o) => o.graph.node("Mul", [o.name(0), o.graph.node("Sigmoid", [o.name(0)])]),
  addcmul,
  clamp,
  "lt.Tensor": comparison("Less"),
  "ge.Tensor": comparison("GreaterOrEqual"),
  "where.self": (o) => o.graph.node("Where", [o.name(0), o.as(1), o.as(2)]),

  // Layers
  linear,
  layer_norm: layerNorm,
  scaled_dot_product_attention: attention,

  // Shape
  reshape: shaped,
  view: shaped,
  "flatten.using_ints": shaped,
  "unflatten.int": shaped,
  "squeeze.dim": shaped,
  unsqueeze: shaped,
  expand,
  permute: permuted((o) => o.numbers(1)),
  "transpose.int": permuted((o, axes) => {
    const [a, b] = [o.axis(1), o.axis(2)];
    return axes.with(a, b).with(b, a);
  }),
  cat: (o) => o.graph.node("Concat", o.list(0), { axis: o.axis(1, o.out.dims.length) }),
  chunk: (o) => split(o, o.axis(2)),
  split_with_sizes: (o) => split(o, o.axis(2)),
  "unbind.int": (o) => {
    const axis = o.axis(1);
    return o.step.results.map((_, i) =>
      o.graph.node("Gather", [o.name(0), o.graph.ints(i)], { axis }),
    );
  },
  "select.int": (o) =>
    o.graph.node("Gather", [o.name(0), o.graph.ints(o.number(2))], { axis: o.axis(1) }),
  narrow,
  arange,
  zeros: (o) => {
    const filled = o.graph.node("ConstantOfShape", [o.graph.shape(o.out.dims)]); // float32 0
    return isAlike(o.out.dtype, "float32") ? filled : o.graph.cast(filled, o.out.dtype);
  },
  contiguous: itself,
  clone: itself,
  detach: itself,
  "to.device": convert,
};
