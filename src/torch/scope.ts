// Who frees a tensor: the scope it was made in; where there is none, dispose() or, as a net, the garbage collector.
import { native } from "./binding.js";
import type { Tensor } from "./tensor.js";

let frame: Tensor[] | undefined;

const collected = new FinalizationRegistry<{ handle: number; bytes: number }>(
  ({ handle, bytes }) => {
    native().release(handle);
    native().adjustMemory(-bytes);
  },
);

/** Called by the constructor of Tensor, for every tensor. */
export function track(tensor: Tensor): void {
  if (frame) frame.push(tensor);
  else watch(tensor);
}

/** Called by dispose(). */
export function untrack(tensor: Tensor): void {
  if (!tensor.watchedBytes) return;
  collected.unregister(tensor);
  native().adjustMemory(-tensor.watchedBytes);
  tensor.watchedBytes = 0;
}

function watch(tensor: Tensor): void {
  if (tensor.watchedBytes) return;
  // One at least, so that an empty tensor counts as watched.
  tensor.watchedBytes = Math.max(1, tensor.byteLength);
  native().adjustMemory(tensor.watchedBytes);
  collected.register(tensor, { handle: tensor.handle, bytes: tensor.watchedBytes }, tensor);
}

/**
 * Runs `fn` and frees every tensor made inside, whichever way it ends, except the kept ones and those in what it
 * returns (a tensor, or arrays and objects of tensors), which pass to the scope around. Synchronous: a promise is an error.
 */
export function scope<T>(fn: () => T): T {
  const outer = frame;
  const inner: Tensor[] = [];
  frame = inner;
  let survivors: Set<object> | undefined;
  try {
    const result = fn();
    if (result instanceof Promise) {
      result.catch(() => {}); // the error below tells more than its rejection would
      throw new TypeError(
        "Expected a synchronous function for scope, received one that returned a promise. Await outside the scope.",
      );
    }
    survivors = reachable(result);
    return result;
  } finally {
    frame = outer;
    release(inner, survivors);
  }
}

function release(tensors: readonly Tensor[], survivors: Set<object> | undefined): void {
  const handles = new Uint32Array(tensors.length);
  let count = 0;
  for (const tensor of tensors) {
    if (tensor.handle === 0 || tensor.isKept) continue;
    if (survivors?.has(tensor)) track(tensor);
    else {
      handles[count++] = tensor.handle;
      tensor.handle = 0;
    }
  }
  if (count) native().releaseAll(handles, count);
}

/** Every object that can be reached from a value, typed arrays aside; undefined for a plain value. */
function reachable(value: unknown): Set<object> | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const seen = new Set<object>();
  const pending: unknown[] = [value];
  while (pending.length) {
    const next = pending.pop();
    if (typeof next !== "object" || next === null || seen.has(next)) continue;
    seen.add(next);
    if ("watchedBytes" in next || ArrayBuffer.isView(next)) continue;
    const isIterable = next instanceof Map || next instanceof Set;
    pending.push(...(isIterable ? [...next.values()] : Object.values(next)));
  }
  return seen;
}

/** Lets tensors (in any arrays and objects) outlive every scope: they live until dispose(). Returns its argument. */
export function keep<T>(value: T): T {
  for (const item of reachable(value) ?? []) {
    if (!("watchedBytes" in item)) continue;
    const tensor = item as Tensor;
    tensor.isKept = true;
    watch(tensor);
  }
  return value;
}

/** Tensors alive in this thread's engine, gradients and what autograd saves not counted. */
export function liveTensors(): number {
  return native().live();
}
