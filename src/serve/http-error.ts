// What a request is refused with: a status and a sentence for its sender.

export class HttpError extends Error {
  override name = "HttpError";

  constructor(
    readonly status: 400 | 401 | 404 | 408 | 413 | 415 | 422 | 429 | 500 | 501 | 503,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}
