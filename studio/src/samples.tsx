// The samples view: pictures that a generator of the service makes, by class.
import { type FormEvent, useEffect, useState } from "react";
import { type GeneratedSample, VitokClient } from "vitok/client";
import type { Generator, StudioModel } from "./models.js";

interface Made extends GeneratedSample {
  readonly url: string;
}

export function Samples({ models }: { models: readonly StudioModel[] | undefined }) {
  const generators = (models ?? []).flatMap((model) =>
    model.place === "server" && model.generator ? [{ ...model, generator: model.generator }] : [],
  );
  if (generators.length === 0)
    return (
      <p className="hint empty">
        No generator is served. Start one, and the studio beside it:
        <code>npx vitok serve dit=runs/dit --port 8080</code>
        <code>npx vitok studio --service http://127.0.0.1:8080</code>
      </p>
    );
  return <Sampling generators={generators} />;
}

interface Named {
  readonly name: string;
  readonly variant: string;
  readonly generator: Generator;
}

function Sampling({ generators }: { generators: readonly Named[] }) {
  const [name, setName] = useState(generators[0]!.name);
  const [made, setMade] = useState<readonly Made[]>([]);
  const [state, setState] = useState<string>();
  const { generator } = generators.find((each) => each.name === name) ?? generators[0]!;
  useEffect(
    () => () => {
      for (const { url } of made) URL.revokeObjectURL(url);
    },
    [made],
  );

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const number = (field: string) => Number(fields.get(field));
    setState("Computing");
    const start = performance.now();
    try {
      const samples = await new VitokClient(location.origin).generate({
        ...{ model: name, classes: [number("class")] },
        ...{ count: number("count"), seed: number("seed"), steps: number("steps") },
        guidance: number("guidance"),
      });
      setMade(samples.map((sample) => ({ ...sample, url: URL.createObjectURL(sample.file) })));
      setState(`${samples.length} samples in ${((performance.now() - start) / 1000).toFixed(1)} s`);
    } catch (error) {
      setState((error as Error).message);
    }
  };

  return (
    <div className="samples">
      <form className="controls" onSubmit={submit}>
        <label>
          <span>Generator</span>
          <select value={name} onChange={(event) => setName(event.target.value)}>
            {generators.map((each) => (
              <option key={each.name}>{each.name}</option>
            ))}
          </select>
        </label>
        <label>
          <span>Class</span>
          <select name="class">
            {Array.from({ length: generator.classes }, (_, label) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a label is its place.
              <option key={label} value={label}>
                {generator.classNames[label] ?? label}
              </option>
            ))}
          </select>
        </label>
        <NumberField label="Samples" name="count" initial={4} min={1} max={16} />
        <NumberField label="Seed" name="seed" initial={0} min={0} max={999_999} />
        <NumberField label="Steps" name="steps" initial={50} min={1} max={250} />
        <NumberField label="Guidance" name="guidance" initial={1.5} min={1} max={20} step={0.1} />
        <button type="submit" className="primary" disabled={state === "Computing"}>
          Make them
        </button>
        <output className="hint">{state}</output>
      </form>
      <div className="grid">
        {made.map(({ url, file, name: label, class: number, seed, index }) => (
          <figure key={url}>
            {file.type.startsWith("video/") ? (
              <video src={url} autoPlay loop muted />
            ) : (
              <img src={url} alt={`Sample of ${label ?? `class ${number}`}`} />
            )}
            <figcaption>
              {label ?? `class ${number}`} · seed {seed}, number {index}
            </figcaption>
          </figure>
        ))}
      </div>
    </div>
  );
}

interface NumberFieldProps {
  readonly label: string;
  readonly name: string;
  readonly initial: number;
  readonly min: number;
  readonly max: number;
  readonly step?: number;
}

function NumberField({ label, initial, ...field }: NumberFieldProps) {
  return (
    <label>
      <span>{label}</span>
      <input type="number" defaultValue={initial} {...field} />
    </label>
  );
}
