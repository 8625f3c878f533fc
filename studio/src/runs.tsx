// The runs view: every training run below the folder the studio was started in, with curves that grow while it trains.
import { useEffect, useState } from "react";

interface RunSummary {
  readonly name: string;
  readonly state: string;
  readonly variant: string;
  readonly steps: readonly {
    readonly step: number;
    readonly terms: Readonly<Record<string, number>>;
  }[];
  readonly scores: Readonly<Record<string, number>>;
  /** The latest grid of pictures. */
  readonly grid?: string;
}

const refreshMs = 3000;

export function Runs() {
  const [runs, setRuns] = useState<readonly RunSummary[]>();
  useEffect(() => {
    const read = () =>
      fetch("/runs.json")
        .then((response) => response.json() as Promise<RunSummary[]>)
        .then(setRuns)
        .catch(() => {}); // the next time
    void read();
    const timer = setInterval(read, refreshMs);
    return () => clearInterval(timer);
  }, []);
  if (!runs) return <p className="hint">Reading runs.</p>;
  if (runs.length === 0)
    return (
      <p className="hint">No runs here yet. Train one: npm run demo, or npx vitok train CONFIG</p>
    );
  return (
    <div className="runs">
      {runs.map((run) => (
        <article key={run.name}>
          <h2>{run.name}</h2>
          <p className="hint">
            {run.variant} · {run.state} · step {run.steps.at(-1)?.step ?? 0}
          </p>
          <p className="figures">
            {Object.entries(run.scores).map(([name, value]) => (
              <span key={name}>
                {name} <b>{value.toFixed(name === "PSNR" ? 2 : 4)}</b>
              </span>
            ))}
          </p>
          <Curves run={run} />
          {run.grid && (
            <a href={run.grid} target="_blank" rel="noreferrer">
              <img className="sheet" src={run.grid} alt="Originals above, reconstructions below" />
            </a>
          )}
        </article>
      ))}
    </div>
  );
}

const [width, height] = [360, 110];

/** One small logarithmic curve a term, over the steps. */
function Curves({ run }: { run: RunSummary }) {
  const names = [...new Set(run.steps.flatMap(({ terms }) => Object.keys(terms)))];
  return (
    <div className="curves">
      {names.map((name) => (
        <figure key={name}>
          <Curve
            points={run.steps.flatMap(({ step, terms }) =>
              name in terms ? [[step, terms[name]!] as const] : [],
            )}
          />
          <figcaption>
            {name} <b>{run.steps.at(-1)?.terms[name]?.toPrecision(3)}</b>
          </figcaption>
        </figure>
      ))}
    </div>
  );
}

function Curve({ points }: { points: readonly (readonly [number, number])[] }) {
  const positive = points.filter(([, value]) => value > 0);
  if (positive.length < 2) return null;
  const logs = positive.map(([, value]) => Math.log(value));
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  const last = positive.at(-1)![0];
  const line = positive.map(([step], i) => {
    const x = (step / last) * width;
    const y = height - 6 - ((logs[i]! - low) / (high - low || 1)) * (height - 12);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  return (
    <svg
      viewBox={`0 0 ${width} ${height}`}
      role="img"
      aria-label="falls from the first step to the last, logarithmic"
    >
      <title>logarithmic</title>
      <polyline points={line.join(" ")} />
    </svg>
  );
}
