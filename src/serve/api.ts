// The service's routes as data for OpenAPI, and what their queries hold. What they do is app.ts.
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import { version } from "../version.js";

export const formats = {
  ...{ png: "image/png", webp: "image/webp", jpg: "image/jpeg" },
  ...{ mp4: "video/mp4", gif: "image/gif" },
} as const;

const model = z.string().max(200).optional().openapi({
  description: "Which model, where several are served; the first by default.",
});
const keep = z.coerce.number().int().positive().optional().openapi({
  description: "Masked models: decode from the first tokens only.",
});
const format = z
  .enum(Object.keys(formats) as [keyof typeof formats])
  .optional()
  .openapi({
    description: "png (default), webp or jpg for a picture; mp4 (default), gif or webp for a clip.",
  });
const window = {
  fps: z.coerce.number().min(0.1).max(240).optional().openapi({
    description: "Clips: frames a second to take; the file's own by default.",
  }),
  frames: z.coerce.number().int().positive().optional().openapi({
    description: "Clips: so many frames; all to the end by default.",
  }),
  start: z.coerce.number().nonnegative().optional().openapi({
    type: "number",
    description: "Clips: seconds from the beginning.",
  }),
};

export const queries = {
  encode: z.strictObject({ model, ...window }),
  decode: z.strictObject({ model, keep, format }),
  reconstruct: z.strictObject({ model, keep, format, ...window }),
};

export const generateBody = z
  .strictObject({
    model: model.openapi({ description: "Which generator; the first by default." }),
    classes: z
      .array(z.union([z.string().max(200), z.int().nonnegative()]))
      .min(1)
      .max(1000)
      .openapi({ description: "By number or name.", example: [0] }),
    count: z.int().positive().default(1).openapi({ description: "Samples of each class." }),
    seed: z.int().default(0).openapi({ description: "Of the noise." }),
    steps: z.int().positive().default(50),
    sampler: z.enum(["ddim", "dpm++"]).default("ddim"),
    guidance: z.number().min(0).max(100).default(1.5).openapi({
      description: "Towards the class; 1 is none.",
    }),
    format,
  })
  .openapi("GenerateRequest");

export const generated = z
  .object({
    model: z.string(),
    samples: z.array(
      z.object({
        class: z.number(),
        name: z.string().nullable(),
        seed: z.number(),
        index: z.number().openapi({ description: "Its noise is drawn by seed and index." }),
        type: z.string().openapi({ example: "image/png" }),
        data: z.string().openapi({ format: "byte", description: "The file in base64." }),
      }),
    ),
  })
  .openapi("Generated");

const file = z.any().openapi({ type: "string", format: "binary" });
const form = z.object({ file });
const text = { "text/plain": { schema: z.string() } };
const object = (schema: z.ZodType) => ({ "application/json": { schema } });
const failure = z
  .object({ error: z.object({ status: z.number(), message: z.string() }) })
  .openapi("Error");

const served = z
  .object({
    name: z.string(),
    config: z.looseObject({}).openapi({ description: "Of the tokenizer." }),
    generator: z
      .object({
        classes: z.number(),
        classNames: z.array(z.string()),
        size: z.object({ frames: z.number(), height: z.number(), width: z.number() }),
      })
      .optional(),
  })
  .openapi("Model");

const refused = {
  400: "The body is missing, cut off or no form.",
  401: "The token is missing or wrong.",
  404: "There is no such model.",
  408: "The body came too slowly.",
  413: "The body, the picture or the clip is too large.",
  415: "The content type is another.",
  422: "The body is not what its type says, or a query or field is wrong.",
  429: "Too many requests are under way; see Retry-After.",
  501: "The server has no ffmpeg for this.",
  503: "The result took too long, or the service is stopping.",
};
const failures = Object.fromEntries(
  Object.entries(refused).map(([status, description]) => [
    status,
    { description, content: object(failure) },
  ]),
);

const picture = {
  "image/*": { schema: file },
  "video/*": { schema: file },
  "multipart/form-data": { schema: form },
};
const latents = {
  "application/octet-stream": { schema: file },
  "multipart/form-data": { schema: form },
};
const pictureOut = {
  description: "The picture or clip, of the size it had.",
  content: Object.fromEntries(Object.values(formats).map((type) => [type, { schema: file }])),
};

export const routes = {
  encode: createRoute({
    ...{ method: "post", path: "/v1/encode", summary: "A picture or clip to its latent" },
    request: { query: queries.encode, body: { required: true, content: picture } },
    responses: {
      200: {
        description:
          "A safetensors file: `0.mean` float32 [L, c], metadata `0.grid` [t, h, w], `0.size` [frames, height, width] and for clips `0.fps`.",
        content: { "application/octet-stream": { schema: file } },
      },
      ...failures,
    },
  }),
  decode: createRoute({
    ...{ method: "post", path: "/v1/decode", summary: "A latent to its picture or clip" },
    request: { query: queries.decode, body: { required: true, content: latents } },
    responses: { 200: pictureOut, ...failures },
  }),
  reconstruct: createRoute({
    ...{ method: "post", path: "/v1/reconstruct", summary: "Through the model and back" },
    request: { query: queries.reconstruct, body: { required: true, content: picture } },
    responses: { 200: pictureOut, ...failures },
  }),
  generate: createRoute({
    ...{ method: "post", path: "/v1/generate", summary: "Samples of a generator" },
    request: { body: { required: true, content: object(generateBody) } },
    responses: {
      200: { description: "Class by class, in their order.", content: object(generated) },
      ...failures,
    },
  }),
  models: createRoute({
    ...{ method: "get", path: "/v1/models", summary: "The models served, and their configs" },
    responses: {
      200: {
        description: "The first is the default.",
        content: object(z.object({ models: z.array(served) })),
      },
    },
  }),
  health: createRoute({
    ...{ method: "get", path: "/health", summary: "Whether the service takes requests" },
    responses: {
      200: { description: "It does.", content: object(z.object({ status: z.string() })) },
      503: { description: "It is stopping.", content: object(z.object({ status: z.string() })) },
    },
  }),
  metrics: createRoute({
    ...{ method: "get", path: "/metrics", summary: "Counters for Prometheus" },
    responses: { 200: { description: "Text format 0.0.4.", content: text } },
  }),
};

/** The service's description; src/client/schema.ts is made from it. */
export function openApiDocument() {
  const app = new OpenAPIHono();
  for (const route of Object.values(routes)) app.openAPIRegistry.registerPath(route);
  return app.getOpenAPI31Document({ openapi: "3.1.0", info: { title: "ViTok", version } });
}
