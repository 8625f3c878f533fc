// `vitok/client`: the HTTP service (`vitok serve`) from anywhere that has fetch: browsers, Node, workers. No engine, no Node.
// The types are the service's own (schema.ts); what the routes do is docs/http.md.
import createFetchClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Query<Path extends "/v1/encode" | "/v1/decode" | "/v1/reconstruct"> = NonNullable<
  paths[Path]["post"]["parameters"]["query"]
>;
export type EncodeQuery = Query<"/v1/encode">;
export type DecodeQuery = Query<"/v1/decode">;
export type ReconstructQuery = Query<"/v1/reconstruct">;
export type GenerateRequest = components["schemas"]["GenerateRequest"];
export type ServedModel = components["schemas"]["Model"];
/** A sample with its file, which tells its type. */
export type GeneratedSample = Omit<
  components["schemas"]["Generated"]["samples"][number],
  "type" | "data"
> & { readonly file: Blob };

export interface ClientOptions {
  /** What the service asks for where it was started with VITOK_TOKEN. */
  readonly token?: string | undefined;
  /** Instead of the global one. */
  readonly fetch?: (request: Request) => Promise<Response>;
}

/** What the service refused, and why. */
export class ServiceError extends Error {
  override name = "ServiceError";

  constructor(
    readonly status: number,
    message: string,
    /** Seconds to wait before another try, where the service says so (429, 503). */
    readonly retryAfter: number | undefined,
  ) {
    super(message);
  }
}

/** Every call may throw a ServiceError, or what fetch throws where there is no service. */
export class VitokClient {
  readonly #http: Client<paths>;

  constructor(url: string, { token, fetch }: ClientOptions = {}) {
    this.#http = createFetchClient<paths>({
      baseUrl: url,
      ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
      ...(fetch && { fetch }),
    });
  }

  /** A picture or clip, whose type its Blob tells, or a clip's frames as pictures: to a safetensors file, its latent. */
  async encode(
    file: Blob | readonly Blob[],
    query: EncodeQuery = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    const answer = await this.#http.POST("/v1/encode", {
      ...{ params: { query }, parseAs: "arrayBuffer" },
      ...bodyOf(file),
    });
    return new Uint8Array(dataOf(answer));
  }

  /** Such a file with one latent to its picture or clip. */
  async decode(latent: Uint8Array<ArrayBuffer>, query: DecodeQuery = {}): Promise<Blob> {
    const answer = await this.#http.POST("/v1/decode", {
      ...{ params: { query }, parseAs: "blob" },
      ...bodyOf(new Blob([latent], { type: "application/octet-stream" })),
    });
    return dataOf(answer);
  }

  /** A picture or clip through the model and back. */
  async reconstruct(file: Blob | readonly Blob[], query: ReconstructQuery = {}): Promise<Blob> {
    const answer = await this.#http.POST("/v1/reconstruct", {
      ...{ params: { query }, parseAs: "blob" },
      ...bodyOf(file),
    });
    return dataOf(answer);
  }

  /** Samples of a generator, class by class. */
  async generate(request: GenerateRequest): Promise<GeneratedSample[]> {
    const { samples } = dataOf(await this.#http.POST("/v1/generate", { body: request }));
    return samples.map(({ type, data, ...facts }) => {
      const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
      return { ...facts, file: new Blob([bytes], { type }) };
    });
  }

  /** The models served; the first is the default. */
  async models(): Promise<readonly ServedModel[]> {
    return dataOf(await this.#http.GET("/v1/models")).models;
  }
}

/** A file as the body itself, under its own type; several as a form. */
function bodyOf(file: Blob | readonly Blob[]) {
  if (!(file instanceof Blob)) {
    const form = new FormData();
    for (const [i, frame] of file.entries()) form.append("file", frame, `${i}`);
    return { body: form as never, bodySerializer: () => form };
  }
  const type = file.type || "application/octet-stream";
  return { body: file as never, bodySerializer: () => file, headers: { "content-type": type } };
}

interface Answer<T> {
  readonly data?: T;
  readonly error?: unknown;
  readonly response: Response;
}

function dataOf<T>({ data, error, response }: Answer<T>): T {
  if (response.ok && data !== undefined) return data;
  const told = (error as { error?: { message?: string } } | undefined)?.error?.message;
  const wait = Number(response.headers.get("retry-after"));
  throw new ServiceError(
    response.status,
    told ?? `The service answered with status ${response.status}.`,
    wait > 0 ? wait : undefined,
  );
}
