// Writes src/client/schema.ts, the types of the HTTP service, from its OpenAPI document: npx tsx scripts/make-client.ts
// src/client/client.test.ts fails where the file is not what this writes.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import openapiTS, { astToString, type OpenAPI3 } from "openapi-typescript";
import ts from "typescript";
import { openApiDocument } from "../src/serve/api.js";

/** The document with one answer for all failures, which are alike, and without what is for people with curl. */
function forClients(): OpenAPI3 {
  const document = structuredClone(openApiDocument()) as unknown as OpenAPI3;
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    if (!path.startsWith("/v1/")) delete document.paths![path];
    for (const operation of Object.values(item) as { responses: Record<string, unknown> }[]) {
      const { 200: answer, 400: failure } = operation.responses;
      operation.responses = { 200: answer, ...(failure ? { default: failure } : {}) };
    }
  }
  return document;
}

/** The file's text. */
export async function clientSchema(): Promise<string> {
  const blob = ts.factory.createTypeReferenceNode("Blob");
  const nodes = await openapiTS(forClients(), {
    silent: true,
    defaultNonNullable: false, // what has a default need not be sent
    transform: ({ format }) => (format === "binary" ? blob : undefined),
  });
  const head =
    "// The HTTP service's types, written by scripts/make-client.ts from its OpenAPI document: do not edit.\n\n";
  return head + astToString(nodes);
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(new URL("../src/client/schema.ts", import.meta.url), await clientSchema());
