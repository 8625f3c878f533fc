// What reading or writing a picture or a video throws: it names the file and keeps the cause.

export class MediaError extends Error {
  override name = "MediaError";
  /** The file at fault, or a word for it where the bytes came from memory. */
  readonly file: string;

  constructor(file: string, message: string, options?: ErrorOptions) {
    super(`${file}: ${message}`, options);
    this.file = file;
  }
}
