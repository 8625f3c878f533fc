// The service's routes as data for OpenAPI, and what their queries hold. What they do is app.ts.
import { createRoute, z } from "@hono/zod-openapi";

export const formats = { png: "image/png", webp: "image/webp", jpg: "image/jpeg" } as const;

const model = z.string().max(200).optional().openapi({
  description: "Which model, where several are served; the first by default.",
});
const keep = z.coerce.number().int().positive().optional().openapi({
  description: "Masked models: decode from the first tokens only.",
});
const format = z.enum(Object.keys(formats) as [keyof typeof formats]).default("png");

export const queries = {
  encode: z.strictObject({ model }),
  decode: z.strictObject({ model, keep, format }),
  reconstruct: z.strictObject({ model, keep, format }),
};

const file = z.any().openapi({ type: "string", format: "binary" });
const form = z.object({ file });
const text = { "text/plain": { schema: z.string() } };
const object = (schema: z.ZodType) => ({ "application/json": { schema } });
const failure = z
  .object({ error: z.object({ status: z.number(), message: z.string() }) })
  .openapi("Error");

const refused = {
  400: "The body is missing, cut off or no form.",
  401: "The token is missing or wrong.",
  404: "There is no such model.",
  408: "The body came too slowly.",
  413: "The body, the picture or the clip is too large.",
  415: "The content type is another.",
  422: "The body is not what its type says, or the query is wrong.",
  429: "Too many requests are under way; see Retry-After.",
  503: "The result took too long, or the service is stopping.",
};
const failures = Object.fromEntries(
  Object.entries(refused).map(([status, description]) => [
    status,
    { description, content: object(failure) },
  ]),
);

const picture = { "image/*": { schema: file }, "multipart/form-data": { schema: form } };
const latents = {
  "application/octet-stream": { schema: file },
  "multipart/form-data": { schema: form },
};
const pictureOut = {
  description: "The picture, of the size it had.",
  content: Object.fromEntries(Object.values(formats).map((type) => [type, { schema: file }])),
};

export const routes = {
  encode: createRoute({
    ...{ method: "post", path: "/v1/encode", summary: "A picture to its latent" },
    request: { query: queries.encode, body: { required: true, content: picture } },
    responses: {
      200: {
        description:
          "A safetensors file: `0.mean` float32 [L, c], metadata `0.grid` [t, h, w], `0.size` [frames, height, width].",
        content: { "application/octet-stream": { schema: file } },
      },
      ...failures,
    },
  }),
  decode: createRoute({
    ...{ method: "post", path: "/v1/decode", summary: "A latent to its picture" },
    request: { query: queries.decode, body: { required: true, content: latents } },
    responses: { 200: pictureOut, ...failures },
  }),
  reconstruct: createRoute({
    ...{ method: "post", path: "/v1/reconstruct", summary: "A picture through the model and back" },
    request: { query: queries.reconstruct, body: { required: true, content: picture } },
    responses: { 200: pictureOut, ...failures },
  }),
  models: createRoute({
    ...{ method: "get", path: "/v1/models", summary: "The models served, and their configs" },
    responses: {
      200: {
        description: "The first is the default.",
        content: object(
          z.object({ models: z.array(z.object({ name: z.string(), config: z.looseObject({}) })) }),
        ),
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
