// One revision of a data set or model on the Hugging Face hub: its list of files, and copies of them in the cache that its Python
// library uses, in the same layout, so both find what the other fetched. Offline it is what the cache has. What is asked for is
// hub.ts.
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import {
  datasetInfo,
  getHFHubCachePath,
  getRepoFolderName,
  listFiles,
  modelInfo,
} from "@huggingface/hub";
import { writeFileAtomic } from "../../atomic-file.js";
import { MediaError } from "../../media/error.js";
import { FileSink } from "./cache.js";
import { type Ask, type RetryPolicy, transfer, transferBytes } from "./transfer.js";

/** A repository of the hub: `owner/name` at a branch, tag or commit. */
export interface HubPlace {
  readonly type: "dataset" | "model";
  readonly name: string;
  readonly revision: string;
}

export interface HubFile {
  readonly path: string;
  readonly size: number;
  /** The SHA-256 of a large file. */
  readonly sha256: string | undefined;
  /** What the cache calls its content. */
  readonly blob: string;
}

/** HF_ENDPOINT, or the public hub. */
export const hubUrl = () =>
  (process.env.HF_ENDPOINT ?? "https://huggingface.co").replace(/\/$/, "");

/** HF_HUB_OFFLINE: nobody is asked, what is in the cache has to do. */
const isOffline = () => /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? "");

/** By HF_TOKEN for what is not public, HF_ENDPOINT for another hub, HF_HUB_CACHE or HF_HOME for the cache's place. */
export class HubRevision {
  readonly #url = hubUrl();
  readonly #token = process.env.HF_TOKEN;
  readonly #folder: string;
  #commit = "";

  constructor(
    private readonly place: HubPlace,
    private readonly policy: RetryPolicy,
  ) {
    const repo = getRepoFolderName(place);
    this.#folder = join(getHFHubCachePath(), repo);
  }

  get #access() {
    const { name } = this.place;
    // Answers are fetched whole by the same rules as files are: a busy hub is asked again.
    const fetch: typeof globalThis.fetch = async (input, init) => {
      const url = String(input);
      const { headers, bytes } = await this.#answer(url, init?.headers);
      return new Response(new Uint8Array(bytes), { headers });
    };
    return { hubUrl: this.#url, fetch, name, ...(this.#token ? { accessToken: this.#token } : {}) };
  }

  async #answer(url: string, extra: RequestInit["headers"]) {
    let headers = new Headers();
    const ask: Ask = async (own, signal) => {
      const response = await fetch(url, { headers: { ...(extra as object), ...own }, signal });
      headers = new Headers(response.headers);
      return response;
    };
    const bytes = await transferBytes(this.nameOf(""), ask, this.policy).catch(explainRefusal);
    for (const name of ["content-encoding", "content-length"]) headers.delete(name);
    return { headers, bytes };
  }

  /** Resolves the revision to a commit, and remembers it as Python's library does. */
  async open(): Promise<void> {
    if (isOffline()) return this.#openOffline();
    const { type, revision } = this.place;
    const request = { ...this.#access, revision, additionalFields: ["sha" as const] };
    const { sha } = await (type === "dataset" ? datasetInfo(request) : modelInfo(request));
    this.#commit = sha;
    if (revision !== sha) writeFileAtomic(join(this.#folder, "refs", revision), sha);
  }

  /** Of a data set nobody can tell without asking whether the cache has all of it. */
  #openOffline(): void {
    const { type, revision } = this.place;
    if (type === "dataset")
      throw new MediaError(
        this.nameOf(""),
        `cannot be listed while HF_HUB_OFFLINE is set. Name its files: ${join(this.#folder, "snapshots")} has those that were fetched.`,
      );
    const ref = join(this.#folder, "refs", revision);
    this.#commit = existsSync(ref) ? readFileSync(ref, "utf8").trim() : revision;
    if (!existsSync(this.snapshot))
      throw new MediaError(
        this.nameOf(""),
        `has no revision ${revision} in ${this.#folder}, and HF_HUB_OFFLINE is set. Fetch it once without.`,
      );
  }

  /** Offline: those that were fetched. */
  async list(): Promise<HubFile[]> {
    const files = isOffline() ? this.#fetched() : await this.#listed();
    return files.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  }

  #fetched(): HubFile[] {
    const facts = (path: string) => statSync(join(this.snapshot, path));
    return readdirSync(this.snapshot, { recursive: true, encoding: "utf8" })
      .filter((path) => facts(path).isFile())
      .map((path) => ({ path, size: facts(path).size, sha256: undefined, blob: "" }));
  }

  async #listed(): Promise<HubFile[]> {
    const { type, name } = this.place;
    const repo = { type, name };
    const files: HubFile[] = [];
    const request = { ...this.#access, repo, recursive: true, revision: this.#commit };
    for await (const { type: kind, path, size, oid, lfs } of listFiles(request)) {
      if (kind !== "file" || path.split("/").includes("..")) continue;
      files.push({
        path,
        size,
        sha256: lfs?.oid,
        blob: lfs?.oid ?? oid ?? path.replaceAll("/", "-"),
      });
    }
    return files;
  }

  /** Asks for the bytes of a file. */
  ask(path: string): Ask {
    const authorization = this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
    const escaped = path.split("/").map(encodeURIComponent).join("/");
    const { type, name } = this.place;
    const repo = type === "dataset" ? `datasets/${name}` : name;
    const url = `${this.#url}/${repo}/resolve/${this.#commit}/${escaped}`;
    return (headers, signal) => fetch(url, { headers: { ...headers, ...authorization }, signal });
  }

  /** The path of a file's copy in the cache, fetched where it is not there. */
  async fetch({ path, sha256, blob }: HubFile): Promise<string> {
    const pointer = join(this.snapshot, path);
    if (existsSync(pointer)) return pointer;
    const target = join(this.#folder, "blobs", blob);
    if (!existsSync(target)) await this.#download(path, target, sha256);
    mkdirSync(dirname(pointer), { recursive: true });
    rmSync(pointer, { force: true }); // a link whose target is gone
    symlinkSync(relative(dirname(pointer), target), pointer);
    return pointer;
  }

  async #download(path: string, target: string, sha256: string | undefined): Promise<void> {
    mkdirSync(dirname(target), { recursive: true });
    const draft = `${target}.${process.pid}.incomplete`;
    const sink = new HashingSink(draft);
    try {
      const name = this.nameOf(path);
      await transfer(name, this.ask(path), { sink, policy: this.policy }).catch(explainRefusal);
      const hash = sink.digest();
      if (sha256 && hash !== sha256)
        throw new MediaError(name, `arrived with SHA-256 ${hash}, but the hub lists ${sha256}.`);
      sink.sync();
      renameSync(draft, target);
    } finally {
      sink.close();
      rmSync(draft, { force: true });
    }
  }

  /** Where this revision's files lie once they are fetched. */
  get snapshot(): string {
    return join(this.#folder, "snapshots", this.#commit);
  }

  async text(path: string): Promise<string> {
    const bytes = await transferBytes(this.nameOf(path), this.ask(path), this.policy);
    return bytes.toString("utf8");
  }

  nameOf(path: string): string {
    const { type, name } = this.place;
    return `hf://${type === "dataset" ? "datasets/" : ""}${name}/${path}`;
  }
}

function explainRefusal(error: unknown): never {
  if (error instanceof MediaError && /answered 40[13]/.test(error.message))
    throw new MediaError(
      error.file,
      "is not open to you. Accept its terms on its page, and set HF_TOKEN to a token that may read it.",
      { cause: error },
    );
  throw error;
}

/** A file that is hashed as it is written. */
class HashingSink extends FileSink {
  #hash = createHash("sha256");

  override write(bytes: Uint8Array): void {
    super.write(bytes);
    this.#hash.update(bytes);
  }

  override restart(): void {
    super.restart();
    this.#hash = createHash("sha256");
  }

  digest(): string {
    return this.#hash.digest("hex");
  }
}
