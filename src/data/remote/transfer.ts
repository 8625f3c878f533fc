// Brings the bytes behind an address here, whatever goes wrong on the way: a dropped connection or a short body goes on
// where it stopped, a busy server is asked again, a wrong range begins anew. What is asked, and by which signature, is the
// caller's; caching is cache.ts.
import { setTimeout as pause } from "node:timers/promises";
import { MediaError } from "../../media/error.js";

/** Sends one GET with these headers besides its own. */
export type Ask = (headers: Record<string, string>, signal: AbortSignal) => Promise<Response>;

/** Takes a body in its order; `restart` forgets what was taken. */
export interface Sink {
  write(bytes: Uint8Array): void;
  restart(): void;
}

export interface RetryPolicy {
  /** Failures in a row, without a byte of progress, after which it is given up. */
  readonly attempts: number;
  /** Pause before the second attempt; it doubles with each, up to half a minute. */
  readonly pauseMs: number;
  /** A connection that brings nothing for so long counts as dropped. */
  readonly stallMs: number;
}

export const patient: RetryPolicy = { attempts: 6, pauseMs: 500, stallMs: 30_000 };

export interface Transferred {
  /** false: the server says that `known` is still what it has; nothing was written. */
  readonly isNew: boolean;
  readonly etag: string | undefined;
  readonly size: number;
  /** Failures on the way that were made good. */
  readonly retries: number;
}

/** A failure that another attempt may get round. */
class Passing extends Error {}

/**
 * Transfers a whole body into `sink`. `name` is what errors call it; `knownEtag` that of a copy that is here already.
 * @throws MediaError where it is not there, not allowed, or fails again and again
 */
export async function transfer(
  name: string,
  ask: Ask,
  options: { sink: Sink; knownEtag?: string | undefined; policy?: RetryPolicy },
): Promise<Transferred> {
  const { sink, knownEtag, policy = patient } = options;
  const state = new Progress(sink);
  const work = () => attempt(ask, state, { knownEtag, stallMs: policy.stallMs });
  const { result: isNew, retries } = await persist(name, policy, {
    work,
    reached: () => state.received,
  });
  return { isNew, etag: state.etag, size: state.received, retries };
}

/** The bytes from `start` up to `end` of what `ask` asks for; the same failures are met alike. */
export async function transferRange(
  name: string,
  ask: Ask,
  { start, end, policy = patient }: { start: number; end: number; policy?: RetryPolicy },
): Promise<Buffer> {
  const work = async () => {
    const headers = { "Accept-Encoding": "identity", Range: `bytes=${start}-${end - 1}` };
    const response = await ask(headers, AbortSignal.timeout(policy.stallMs));
    refuseFailure(response);
    const range = response.headers.get("content-range");
    if (response.status === 206 && !range?.startsWith(`bytes ${start}-${end - 1}/`))
      throw new Passing(`asked for bytes ${start} to ${end}, it sent "${range}".`);
    const bytes = Buffer.from(await response.arrayBuffer());
    const wanted = response.status === 206 ? bytes : bytes.subarray(start, end);
    if (wanted.length !== end - start)
      throw new Passing(`sent ${wanted.length} of ${end - start} bytes.`);
    return wanted;
  };
  return (await persist(name, policy, { work, reached: () => 0 })).result;
}

/** Does `work` until it succeeds; gives up after `attempts` failures in a row between which `reached` did not grow. */
async function persist<T>(
  name: string,
  policy: RetryPolicy,
  { work, reached }: { work: () => Promise<T>; reached: () => number },
): Promise<{ result: T; retries: number }> {
  let [failures, best] = [0, 0];
  for (let retries = 0; ; retries++) {
    try {
      return { result: await work(), retries };
    } catch (cause) {
      if (isOurs(cause)) throw cause;
      if (!isPassing(cause)) throw new MediaError(name, reasonOf(cause), { cause });
      failures = reached() > best ? 1 : failures + 1;
      best = Math.max(best, reached());
      if (failures >= policy.attempts) {
        const reason = `cannot be fetched, after ${failures} attempts: ${reasonOf(cause)}`;
        throw new MediaError(name, reason, { cause });
      }
      await pause(Math.min(30_000, policy.pauseMs * 2 ** (failures - 1)));
    }
  }
}

/** What has arrived, and of which state of the file. */
class Progress {
  received = 0;
  etag: string | undefined;
  /** Bytes of the whole, where the server told. */
  total: number | undefined;

  constructor(private readonly sink: Sink) {}

  restart(): void {
    if (this.received > 0) this.sink.restart();
    this.received = 0;
  }

  take(bytes: Uint8Array): void {
    this.sink.write(bytes);
    this.received += bytes.length;
  }
}

/** One request; true once everything is here, false where the known copy is current. */
async function attempt(
  ask: Ask,
  state: Progress,
  { knownEtag, stallMs }: { knownEtag: string | undefined; stallMs: number },
): Promise<boolean> {
  const abort = new AbortController();
  const stalled = () => abort.abort(new Passing(`nothing arrived for ${stallMs / 1000} s.`));
  let timer = setTimeout(stalled, stallMs);
  try {
    const response = await ask(headersOf(state, knownEtag), abort.signal);
    if (response.status === 304 && knownEtag && state.received === 0) return false;
    await requireBody(response, state);
    for await (const bytes of response.body!) {
      clearTimeout(timer);
      timer = setTimeout(stalled, stallMs);
      state.take(bytes);
      if (state.total !== undefined && state.received > state.total)
        throw new Passing(`more than the ${state.total} bytes announced arrived.`);
    }
    if (state.total !== undefined && state.received < state.total)
      throw new Passing(`ended after ${state.received} of ${state.total} bytes.`);
    return true;
  } catch (error) {
    throw abort.signal.aborted ? abort.signal.reason : error;
  } finally {
    clearTimeout(timer);
    abort.abort(); // lets go of a connection whose body nobody wants
  }
}

function headersOf({ received, etag }: Progress, knownEtag: string | undefined) {
  const plain = { "Accept-Encoding": "identity" }; // lengths and ranges are those of the file
  if (received > 0 && etag) return { ...plain, Range: `bytes=${received}-`, "If-Range": etag };
  return { ...plain, ...(knownEtag ? { "If-None-Match": knownEtag } : {}) };
}

/** Checks that the body is what comes next, and begins anew where it is the whole again. */
async function requireBody(response: Response, state: Progress): Promise<void> {
  const { status, headers } = response;
  if (status === 416) state.restart(); // there is less than what was taken already
  refuseFailure(response);
  const etag = validator(headers);
  if (status === 206) {
    const [, first, , total] =
      /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers.get("content-range") ?? "") ?? [];
    const isNext = Number(first) === state.received && state.received > 0;
    if (!isNext || etag !== state.etag || Number(total) !== (state.total ?? Number(total))) {
      const asked = state.received;
      state.restart();
      throw new Passing(
        `asked for bytes from ${asked}, it sent "${headers.get("content-range")}".`,
      );
    }
    state.total = Number(total);
    return;
  }
  state.restart();
  const length = headers.get("content-length");
  const isCoded = (headers.get("content-encoding") ?? "identity") !== "identity";
  state.total = length === null || isCoded ? undefined : Number(length);
  state.etag = etag;
}

function refuseFailure({ status }: Response): void {
  const message = `the server answered ${status}.`;
  if (status >= 500 || [408, 416, 425, 429].includes(status)) throw new Passing(message);
  if (status !== 200 && status !== 206) throw new Error(message);
}

/** What tells one state of a file from another; a weak one does not do for ranges. */
function validator(headers: Headers): string | undefined {
  const etag = headers.get("etag");
  if (etag && !etag.startsWith("W/")) return etag;
  return headers.get("last-modified") ?? undefined;
}

/** Failures of the connection reach us as fetch's TypeError, or as an Error with a code. */
function isPassing(error: unknown): boolean {
  if (error instanceof Passing) return true;
  if (error instanceof TypeError) return /^(fetch failed|terminated)/.test(error.message);
  const code = (error as { code?: unknown }).code;
  if ((error as Error).name === "TimeoutError") return true;
  return typeof code === "string" && /^(ECONN|ETIMEDOUT|EPIPE|UND_ERR|EAI_AGAIN)/.test(code);
}

/** A full disk and the like: no fault of what was asked for, and nothing that another file would get round. */
function isOurs(error: unknown): boolean {
  const { syscall } = error as NodeJS.ErrnoException;
  return syscall === "write" || syscall === "open" || syscall === "ftruncate";
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  const inner =
    cause instanceof Error ? cause.message || String((cause as { code?: string }).code) : "";
  return inner ? `${message}: ${inner}` : message;
}

/** A whole body in memory, for what is small: an index, a listing. */
export async function transferBytes(name: string, ask: Ask, policy?: RetryPolicy): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const sink = {
    write: (bytes: Uint8Array) => void parts.push(bytes),
    restart: () => void parts.splice(0),
  };
  await transfer(name, ask, policy ? { sink, policy } : { sink });
  return Buffer.concat(parts);
}
