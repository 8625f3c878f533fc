// What a wrong setting throws, wherever it was read: a variant's name, a model folder, a run's YAML.
// It is shown to the user as it stands, without a stack, so the message says what to do.

export class ConfigError extends Error {
  override name = "ConfigError";
}
