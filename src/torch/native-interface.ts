// What the addon under native/ exports. Tensors, generators and modules are handles (small whole numbers, 0 is none).

/** An operator as the dispatcher knows it. */
export interface OperatorInfo {
  readonly id: number;
  readonly returns: "Tensor" | "Tensors" | "value";
  /** Index of the argument that is changed and returned; -1 for a pure operator. */
  readonly written: number;
  /** For each argument, whether it is a tensor or a list of them. */
  readonly takesTensors: readonly boolean[];
  readonly schema: string;
}

export interface Native {
  versions(): { torchBuilt: string };
  lookup(name: string, overload: string): OperatorInfo;
  call(operator: number, ...args: unknown[]): unknown;
  operatorNames(): string[];
  fromBytes(
    bytes: NodeJS.TypedArray | ArrayBuffer,
    shape: readonly number[],
    dtype: number,
    device: string,
  ): number;
  copyBytes(tensor: number, target: NodeJS.TypedArray): void;
  writeBytes(tensor: number, bytes: NodeJS.TypedArray): void;
  meta(tensor: number): [dtype: number, device: string, ...shape: number[]];
  strides(tensor: number): number[];
  item(tensor: number): number;
  release(...tensors: number[]): void;
  releaseAll(tensors: Uint32Array, count: number): void;
  live(): number;
  adjustMemory(bytes: number): void;
  backward(outputs: number[], gradOutputs: number[] | undefined, retainGraph: boolean): void;
  grad(
    outputs: number[],
    inputs: number[],
    gradOutputs: number[] | undefined,
    retainGraph: boolean,
    createGraph: boolean,
    allowUnused: boolean,
  ): (number | undefined)[];
  getGrad(tensor: number): number | undefined;
  setGrad(tensor: number, gradient: number | undefined): void;
  requiresGrad(tensor: number): boolean;
  setRequiresGrad(tensor: number, on: boolean): void;
  setGradMode(on: boolean): boolean;
  pushInference(): void;
  popInference(): void;
  setAutocast(deviceType: string, dtype: number): void;
  createGenerator(device: string, seed: number | bigint): number;
  releaseGenerator(generator: number): void;
  seedGenerator(generator: number, seed: number | bigint): void;
  generatorState(generator: number): number;
  setGeneratorState(generator: number, state: number): void;
  setNumThreads(count: number): void;
  getNumThreads(): number;
  deviceCount(): number;
  synchronize(device: string): void;
  memory(device: string): { allocatedBytes: number; peakBytes: number; availableBytes: number };
  resetPeakMemory(device: string): void;
  emptyCache(device: string): void;
  setFlag(name: string, on: boolean): void;
  loadModule(path: string, device: string): number;
  runModule(module: number, method: string, ...args: unknown[]): unknown;
  releaseModule(module: number): void;
  createGroup(
    name: string,
    options: {
      host: string;
      port: number;
      isServer: boolean;
      rank: number;
      size: number;
      timeoutMs: number;
      interface: string;
    },
  ): void;
  destroyGroup(name: string, isOrderly: boolean): void;
  /** Where the CUDA half was built beside NCCL. */
  addNccl?(group: string, device: string, timeoutMs: number): void;
  exitProcess(code: number): never;
  createReducer(
    group: string,
    buckets: readonly { flat: number; leaves: readonly number[] }[],
    options: { isScattered: boolean; overlaps: boolean; alignment: number },
  ): number;
  armReducer(reducer: number): void;
  finishReducer(reducer: number): void;
  releaseReducer(reducer: number): void;
  startProfile(): void;
  stopProfile(path: string): void;
  /** "cuda", "cpu" (a stand-in) or "": the kind of device that kernels run on. */
  kernelDevice(): string;
  compileKernels(source: string, options: readonly string[]): ArrayBuffer;
  loadKernel(code: ArrayBuffer, name: string): number;
  deviceTraits(device: string): [capability: number, multiprocessors: number];
  launch(
    kernel: number,
    grid: readonly (number | undefined)[],
    block: readonly (number | undefined)[],
    args: readonly [string, unknown][],
    tensors: readonly number[],
  ): void;
  definePlan(plan: object): number;
  runPlan(plan: number, inputs: readonly number[]): number[];
}

/** What native/cuda/ adds, where it was built and a GPU answers. Streams and graphs are handles, too. */
export interface CudaHalf {
  createStream(device: string): number;
  setStream(stream: number): number;
  waitStream(waiter: number, other: number): void;
  beginCapture(generators: readonly number[]): number;
  endCapture(graph: number): void;
  replayGraph(graph: number): void;
  releaseGraph(graph: number): void;
}
