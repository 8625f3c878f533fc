// Shards behind addresses: https:// with braces, s3:// with braces and globs, and the index.json beside them. Each shard is
// fetched into the machine's cache when it is first needed. Local ones are shards/list.ts, datasets of a hub hub.ts.
import { basename, dirname } from "node:path/posix";
import { minimatch } from "minimatch";
import { S3mini } from "s3mini";
import { ConfigError } from "../../config-error.js";
import { MediaError } from "../../media/error.js";
import {
  expandBraces,
  hasGlob,
  indexName,
  nameOf,
  parseIndex,
  type ShardIndex,
  type ShardList,
  shardPattern,
  withIndex,
} from "../shards/list.js";
import { machineCache, type ShardCache } from "./cache.js";
import { type Ask, patient, type RetryPolicy, transferBytes } from "./transfer.js";
import { asTar } from "./unpack.js";

/** A place of shards: how to ask for an address there, and which addresses fit a glob. */
interface Store {
  ask(address: string): Ask;
  list(prefix: string): Promise<string[]>;
}

export interface RemoteOptions {
  readonly cache?: ShardCache;
  readonly policy?: RetryPolicy;
}

export const isRemote = (spec: string): boolean => /^(https?|s3):\/\//.test(spec);

/** The shards that an http://, https:// or s3:// address names. */
export async function listRemote(spec: string, options: RemoteOptions = {}): Promise<ShardList> {
  const { policy = patient, cache = machineCache() } = options;
  const store = spec.startsWith("s3://") ? s3Store(spec) : httpStore;
  const addresses = await expand(spec, store);
  const index = await readIndex(sibling(addresses[0]!, indexName), store, policy);
  const isIndex = basename(pathOf(spec)) === indexName;
  if (isIndex && !index)
    throw new ConfigError(
      `Expected an index of shards at ${pathOf(spec)}, found none. Check the address.`,
    );
  const wanted = isIndex ? index!.shardlist.map(({ url }) => sibling(spec, url)) : addresses;
  const files = wanted.map((address) => {
    const name = basename(pathOf(address));
    const fetch = () => cache.get(address, store.ask(address));
    return asTar({ name, fetch }, () => cache);
  });
  const name = nameOf(isIndex ? dirname(pathOf(spec)) : pathOf(spec));
  return withIndex({ name, files, isLocal: false }, index);
}

/** What `name` is where `address` lies: an address of its own, or one beside it. */
const sibling = (address: string, name: string): string =>
  name.includes("://") ? name : pathOf(address).replace(/[^/]*$/, name);

/** Without a query, which may hold a signature. */
const pathOf = (address: string): string => address.replace(/[?#].*$/, "");

async function expand(spec: string, store: Store): Promise<string[]> {
  if (spec.endsWith("/")) return matching(`${spec}*.tar`, store);
  const lists = expandBraces(spec).map((address) =>
    hasGlob(pathOf(address)) ? matching(pathOf(address), store) : [address],
  );
  const addresses = (await Promise.all(lists)).flat();
  const odd = addresses.find(
    (at) => !shardPattern.test(pathOf(at)) && basename(pathOf(at)) !== indexName,
  );
  if (odd)
    throw new ConfigError(
      `Expected .tar or .parquet files or an index.json for data, received ${pathOf(odd)}. Name the shards as in train-{000..127}.tar.`,
    );
  return addresses;
}

async function matching(pattern: string, store: Store): Promise<string[]> {
  const found = (await store.list(pattern.slice(0, pattern.search(/[*?[]/)))).filter((address) =>
    minimatch(address, pattern),
  );
  if (found.length > 0) return found.sort();
  throw new ConfigError(
    `Expected shards that fit ${pattern} for data, found none. Check the pattern.`,
  );
}

/** The index beside the shards; undefined where there is none, or it is not ours to read. */
async function readIndex(
  address: string,
  store: Store,
  policy: RetryPolicy,
): Promise<ShardIndex | undefined> {
  try {
    const bytes = await transferBytes(pathOf(address), store.ask(address), policy);
    return parseIndex(bytes.toString("utf8"), pathOf(address));
  } catch (error) {
    if (error instanceof MediaError && /answered 40[34]/.test(error.message)) return undefined;
    throw error;
  }
}

const httpStore: Store = {
  ask: (address) => (headers, signal) => fetch(address, { headers, signal }),
  list: async (prefix) => {
    throw new ConfigError(
      `Expected braces, as in train-{000..127}.tar, or an index.json for shards below ${prefix}, received a pattern. ` +
        "A web server does not list its files.",
    );
  },
};

/**
 * By the environment's AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION and, for other services than
 * Amazon's, AWS_ENDPOINT_URL. Each request is signed anew, so that a long transfer never outlives its signature.
 */
function s3Store(spec: string): Store {
  const { bucket } = splitS3(spec);
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = process.env;
  const { AWS_SESSION_TOKEN: token, AWS_REGION: region = "us-east-1" } = process.env;
  if (!accessKeyId || !secretAccessKey)
    throw new ConfigError(
      `Expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment for ${spec}, received none. Set them.`,
    );
  const host = process.env.AWS_ENDPOINT_URL ?? `https://s3.${region}.amazonaws.com`;
  const endpoint = `${host.replace(/\/$/, "")}/${bucket}`;
  const client = new S3mini({ accessKeyId, secretAccessKey, endpoint, region });
  const query: Record<string, string> = token ? { "X-Amz-Security-Token": token } : {};
  return {
    ask: (address) => async (headers, signal) => {
      const { key } = splitS3(address);
      return fetch(await client.getPresignedUrl("GET", key, 3600, query), { headers, signal });
    },
    list: async (prefix) => {
      if (token)
        throw new ConfigError(
          `Expected braces or an index.json for ${spec}, received a pattern. With AWS_SESSION_TOKEN buckets are not listed.`,
        );
      const objects = (await client.listObjects("/", splitS3(prefix).key)) ?? [];
      return objects.map(({ Key }) => `s3://${bucket}/${Key}`);
    },
  };
}

function splitS3(address: string): { bucket: string; key: string } {
  const [, bucket, key] = /^s3:\/\/([^/]+)\/(.*)$/.exec(address) ?? [];
  if (bucket !== undefined) return { bucket, key: key! };
  throw new ConfigError(`Expected s3://bucket/key for data, received "${address}".`);
}
