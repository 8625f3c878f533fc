// Files from the network with progress, kept in the browser's cache for the next visit.

const cacheName = "vitok-models-1";

export interface Progress {
  /** Bytes so far. */
  readonly received: number;
  /** Bytes in all, 0 where the server does not say. */
  readonly total: number;
}

/**
 * A file's bytes: from the cache while the server's copy is the same, else from the network.
 * @throws an Error with the address and the status where the server has none
 */
export async function download(
  url: string,
  onProgress: (progress: Progress) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const cache = await openCache();
  const known = await cache?.match(url);
  const tag = known?.headers.get("etag");
  const response = await fetch(url, {
    cache: "no-cache",
    headers: tag ? { "if-none-match": tag } : {},
  }).catch((error: unknown) => {
    if (known) return known; // offline: what was seen last
    throw error;
  });
  if (
    known &&
    (response === known || response.status === 304 || (tag && tag === response.headers.get("etag")))
  ) {
    if (response !== known) await response.body?.cancel();
    return readAll(known, onProgress);
  }
  if (!response.ok)
    throw new Error(`Expected a file at ${url}, received status ${response.status}.`);
  const bytes = await readAll(response, onProgress);
  const headers = {
    "content-length": String(bytes.length),
    etag: response.headers.get("etag") ?? "",
  };
  await cache?.put(url, new Response(bytes, { headers })).catch(() => {}); // a full disk is no failure
  return bytes;
}

/** No cache outside of secure pages, and in private windows of some browsers. */
async function openCache(): Promise<Cache | undefined> {
  return typeof caches === "undefined" ? undefined : caches.open(cacheName).catch(() => undefined);
}

async function readAll(
  response: Response,
  onProgress: (progress: Progress) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const total = Number(response.headers.get("content-length") ?? 0);
  const chunks: Uint8Array[] = [];
  let received = 0;
  const reader = response.body!.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    received += value.length;
    onProgress({ received, total });
  }
  const bytes = new Uint8Array(received);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
