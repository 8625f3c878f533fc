// A model on the Hugging Face hub as a folder on this machine: hf://owner/name[@revision][/folder]. Only the files that make a
// model are fetched, into the cache that hub-files.ts shares with Python. What kind of model it is, is its reader's question.
import { dirname, join } from "node:path";
import { ConfigError } from "../../config-error.js";
import { HubRevision } from "./hub-files.js";
import { patient, type RetryPolicy } from "./transfer.js";

const weights = ["model.safetensors", "diffusion_pytorch_model.safetensors"];

/** What hf://owner/name[@revision][/folder] names; `folder` is undefined where none is. @throws ConfigError */
export function parseHubModel(spec: string): { name: string; revision: string; folder?: string } {
  const match = /^hf:\/\/(?:models\/)?([^/@]+\/[^/@]+)(?:@([^/]+))?(?:\/(.*?))?\/?$/.exec(spec);
  if (!match)
    throw new ConfigError(
      `Expected hf://owner/name[@revision][/folder] of a model on the hub, received "${spec}".`,
    );
  const [, name = "", revision = "main", folder] = match;
  return { name, revision: decodeURIComponent(revision), ...(folder ? { folder } : {}) };
}

/** The folder with the model's config.json, where it has one, and its weights; of a pipeline that of its `vae`. */
export async function fetchModel(spec: string, policy: RetryPolicy = patient): Promise<string> {
  const { name, revision, folder } = parseHubModel(spec);
  const hub = new HubRevision({ type: "model", name, revision }, policy);
  await hub.open();
  const files = await hub.list();
  const folders = folder === undefined ? ["", "vae"] : [folder];
  const found = files.find(({ path }) =>
    folders.some((at) => weights.some((file) => path === join(at, file))),
  );
  if (!found)
    throw new ConfigError(
      `Expected ${weights.join(" or ")} in ${spec}, found ${
        files
          .map(({ path }) => path)
          .slice(0, 8)
          .join(", ") || "none"
      }.`,
    );
  const place = dirname(found.path);
  const config = files.find(({ path }) => path === join(place, "config.json"));
  for (const file of config ? [config, found] : [found]) await hub.fetch(file);
  return join(hub.snapshot, place);
}
