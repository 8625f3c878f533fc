// A fused function described by data: what it takes, the kernels and operators that compute it, and those that compute its
// gradients. The addon runs it as one autograd function, so no JavaScript runs in the backward pass.
import { native } from "./binding.js";
import { operatorId } from "./dispatch.js";
import { type DType, dtypeCode } from "./dtype.js";
import { naming } from "./error.js";
import type { Kernel, Size } from "./kernels.js";
import { type Shape, Tensor } from "./tensor.js";

/** A tensor as kernels expect it; `channelsLast` is of [B, C, H, W] in the order [B, H, W, C]. */
export interface Layout {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly channelsLast?: boolean;
}

/** The name of a tensor, or a number. */
type StepArgument = string | { int: number } | { float: number };

/** A kernel's call. The outputs' gradients are called `d.<output>`. */
export interface KernelStep {
  readonly kernel: Kernel;
  readonly grid: Size;
  readonly block: Size;
  /** Bytes of shared memory besides the kernel's own. */
  readonly shared?: number;
  readonly args: readonly StepArgument[];
}

/** An operator's call: names of tensors, other values as constants; `results` names what it returns, null drops one. */
export interface OperatorStep {
  readonly operator: string;
  readonly args: readonly unknown[];
  readonly results: readonly (string | null)[];
}

export interface Pass {
  /** Made before the pass. What an operator returns is not listed, but where its gradient has to be as a kernel expects it. */
  readonly buffers: Readonly<Record<string, Layout>>;
  readonly steps: readonly (KernelStep | OperatorStep)[];
}

export interface PlanOptions {
  readonly inputs: Readonly<Record<string, Layout>>;
  readonly forward: Pass;
  /** Names of the forward pass's tensors. */
  readonly outputs: readonly string[];
  readonly backward?: Pass;
  /** By input, the name of its gradient; inputs left out have none. */
  readonly gradients?: Readonly<Record<string, string>>;
}

const memoryFormat = { contiguous: 0, channelsLast: 2 };

/** A plan for inputs of fixed shapes. */
export class Plan {
  readonly #id: number;

  constructor(options: PlanOptions) {
    const { inputs, forward, outputs, backward, gradients = {} } = options;
    const slots = new Map<string, number>();
    const name = (names: Iterable<string>) => {
      for (const item of names) if (!slots.has(item)) slots.set(item, slots.size);
    };
    const slotOf = (item: string) => {
      const slot = slots.get(item);
      if (slot === undefined) throw new Error(`Expected a tensor of the plan, received "${item}".`);
      return slot;
    };
    name(Object.keys(inputs));
    const forwardBuffers = buffersOf(forward, name);
    name(outputs.map((output) => `d.${output}`));
    const backwardBuffers = backward && buffersOf(backward, name);
    this.#id = naming("Plan", [], () =>
      native().definePlan({
        inputs: Object.values(inputs).map(encodeLayout),
        forward: { buffers: forwardBuffers, steps: encodeSteps(forward, slotOf) },
        outputs: outputs.map(slotOf),
        ...(backward && backwardBuffers
          ? { backward: { buffers: backwardBuffers, steps: encodeSteps(backward, slotOf) } }
          : {}),
        gradients: Object.keys(inputs).map((input) =>
          gradients[input] === undefined ? -1 : slotOf(gradients[input]),
        ),
      }),
    );
  }

  /** Its outputs for inputs in the order of the plan. @throws {TorchError} for another shape or dtype. */
  run(...inputs: readonly Tensor[]): Tensor[] {
    return naming("Plan", inputs, () =>
      native()
        .runPlan(
          this.#id,
          inputs.map((input) => input.handle),
        )
        .map((handle) => new Tensor(handle)),
    );
  }
}

/** The pass's slots in order: the listed buffers, then what its operators return. */
function buffersOf(pass: Pass, name: (names: Iterable<string>) => void) {
  const returned = pass.steps
    .flatMap((step) => ("operator" in step ? step.results : []))
    .filter((result) => result !== null);
  const listed = Object.entries(pass.buffers);
  const others = returned.filter((result) => !(result in pass.buffers));
  name(Object.keys(pass.buffers));
  name(others);
  const layouts = listed.map(([buffer, layout]) => ({
    ...encodeLayout(layout),
    ...(returned.includes(buffer) ? { isReturned: true } : {}),
  }));
  return [...layouts, ...others.map(() => null)];
}

const encodeLayout = ({ shape, dtype, channelsLast }: Layout) => ({
  shape,
  dtype: dtypeCode(dtype),
  layout: channelsLast ? memoryFormat.channelsLast : memoryFormat.contiguous,
});

function encodeSteps({ steps }: Pass, slotOf: (name: string) => number) {
  return steps.map((step) => {
    if ("operator" in step)
      return {
        operator: operatorId(step.operator),
        args: step.args.map((item) =>
          typeof item === "string" ? ["slot", slotOf(item)] : ["value", item],
        ),
        results: step.results.map((result) => (result === null ? -1 : slotOf(result))),
      };
    const { kernel, grid, block, shared = 0, args } = step;
    return {
      ...{ kernel: kernel.id, grid, block, shared },
      args: args.map((item) => {
        if (typeof item === "string") return ["slot", slotOf(item)];
        return "int" in item ? ["int", item.int] : ["float", item.float];
      }),
    };
  });
}

const plans = new Map<string, Plan>();

/** The plan of a key, made where there is none yet. The key says everything that the plan depends on. */
export function planFor(key: string, make: () => PlanOptions): Plan {
  let plan = plans.get(key);
  if (!plan) {
    plan = new Plan(make());
    plans.set(key, plan);
  }
  return plan;
}
