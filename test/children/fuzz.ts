// Calls operators with junk: each call must work or throw a TorchError. A process of its own, so that a crash is seen
// from outside (src/torch/fuzz.test.ts). Prints each operator before it is tried; FUZZ_TRACE=1 prints each call.
import { writeSync } from "node:fs";
import fc from "fast-check";
import { native } from "../../src/torch/binding.js";
import {
  type Argument,
  call,
  Generator,
  scope,
  Tensor,
  TorchError,
} from "../../src/torch/index.js";

const [seed, numRuns, ...operators] = process.argv.slice(2) as [string, string, ...string[]];

/** Made anew for each call, because operators in place may ruin them; index by the numbers below. */
const tensors: (() => Tensor)[] = [
  () => Tensor.from(3),
  () => Tensor.from([1, -2, 3]),
  () => Tensor.from([1, 2, 3, 4, 5, 6], [2, 3]),
  () => Tensor.from([1, 2, 3, 4, 5, 6], [2, 3]).transpose(0, 1),
  () => Tensor.from([1, 2, 3], [1, 3]).expand([4, 3]),
  () => Tensor.from([], [0]),
  () => Tensor.from([], [2, 0, 3]),
  () => Tensor.from(Float32Array.from({ length: 2 * 3 * 4 * 4 }, Math.sin), [2, 3, 4, 4]),
  () => Tensor.from(Float32Array.from({ length: 3 * 2 * 4 * 4 }, Math.cos), [1, 3, 2, 4, 4]),
  () => Tensor.from([Number.NaN, Number.POSITIVE_INFINITY, -0]),
  () => Tensor.from([0, 1, 1], [3], { dtype: "int64" }),
  () => Tensor.from([-5, 2 ** 40], [2], { dtype: "int64" }),
  () => Tensor.from([0, 2], [2], { dtype: "int32" }),
  () => Tensor.from([1, 0, 1], [3], { dtype: "bool" }),
  () => Tensor.from([1, 2, 3, 4], [2, 2], { dtype: "bfloat16" }),
  () => Tensor.from([1, 2, 3, 4], [2, 2], { dtype: "float64" }),
  () => Tensor.from([200, 0, 7], [3], { dtype: "uint8" }),
  () => Tensor.from([1, 2], [2]).requiresGrad_(),
  () => {
    const freed = Tensor.from([1]);
    freed.dispose();
    return freed;
  },
];

/** Stands for `tensors[index]` in what fast-check draws. */
class Draft {
  constructor(readonly index: number) {}
  toString = () => `tensor${this.index}`;
}
type Junk = Draft | number | bigint | boolean | string | null | undefined | Junk[];

const tensor = fc.nat(tensors.length - 1).map((index) => new Draft(index));
// Nothing between 20 and 2^40: such a size would be granted and filled.
const whole = fc.oneof(
  fc.integer({ min: -4, max: 8 }),
  fc.constantFrom(0, 1, 2, 3, 20, -20, 2 ** 40, -(2 ** 40), 2 ** 53, 2n ** 62n, -(2n ** 63n)),
);
const number = fc.oneof(
  whole,
  fc.constantFrom(0.5, -1.5, 1e-300, 1e300, Number.NaN, Number.POSITIVE_INFINITY, -0),
);
const text = fc.constantFrom(
  "",
  "cpu",
  "meta",
  "cuda:0",
  "cuda:-1",
  "cpu:99",
  "sum",
  "floor",
  "\0é",
);
const scalar = fc.oneof(number, fc.boolean(), text, fc.constantFrom(null, undefined));
const list = (item: fc.Arbitrary<Junk>) => fc.array(item, { maxLength: 6 });
const anything: fc.Arbitrary<Junk> = fc.oneof(
  tensor,
  scalar,
  list(fc.oneof(tensor, scalar)),
  list(whole),
);

/** Values of about the type that the schema names: deep bugs lie behind the conversion. */
function fitting(type: string): fc.Arbitrary<Junk> {
  const isOptional = type.endsWith("?");
  const base = isOptional ? type.slice(0, -1) : type;
  const value = base.startsWith("Tensor")
    ? /\[/.test(base)
      ? list(tensor)
      : tensor
    : /^(Sym)?[Ii]nt\[/.test(base)
      ? list(whole)
      : /^(Sym)?[Ii]nt|^ScalarType|^Layout|^MemoryFormat/.test(base)
        ? whole
        : /^(float|Scalar|number)/.test(base)
          ? number
          : base === "bool"
            ? fc.boolean()
            : /^(str|Device)/.test(base)
              ? text
              : /^Generator/.test(base)
                ? fc.constantFrom(generator.handle, 99)
                : anything;
  return fc.oneof(
    { weight: 12, arbitrary: isOptional ? fc.option(value, { nil: undefined }) : value },
    { weight: 1, arbitrary: anything },
  );
}
const generator = new Generator(1);

function argumentsOf(operator: string): fc.Arbitrary<Junk[]> {
  const [name, overload = ""] = operator.split(".") as [string, string?];
  const { schema } = native().lookup(`aten::${name}`, overload);
  const inside = schema.slice(schema.indexOf("(") + 1, schema.lastIndexOf(") ->"));
  const types = inside
    .replaceAll(/\([a-z]!?(?: -> \*)?\)/g, "")
    .split(/, (?![^[]*\])/)
    .filter((argument) => argument !== "*" && argument !== "")
    .map((argument) => argument.split(" ")[0]!);
  return fc.oneof(
    { weight: 5, arbitrary: fc.tuple(...types.map(fitting)) as fc.Arbitrary<Junk[]> },
    { weight: 1, arbitrary: fc.array(anything, { maxLength: types.length + 1 }) },
  );
}

const real = (junk: Junk): Argument =>
  junk instanceof Draft
    ? tensors[junk.index]!()
    : Array.isArray(junk)
      ? (junk.map(real) as Argument)
      : junk;

const shown = (junk: Junk): string => (Array.isArray(junk) ? `[${junk.map(shown)}]` : String(junk));

for (const operator of operators) {
  writeSync(1, `${operator}\n`);
  const property = fc.property(argumentsOf(operator), (junk) => {
    if (process.env.FUZZ_TRACE) writeSync(1, `  ${junk.map(shown).join(" | ")}\n`);
    scope(() => {
      const args = junk.map(real);
      try {
        call<unknown>(operator, ...args);
      } catch (error) {
        if (!(error instanceof TorchError)) throw error;
      }
    });
  });
  fc.assert(property, { seed: Number(seed), numRuns: Number(numRuns) });
}
writeSync(1, "survived\n");
