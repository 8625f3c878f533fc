// The studies view: figures and tables of the paper as far as they have been made here, and what holds of its claims.
import { useEffect, useState } from "react";

interface Study {
  readonly name: string;
  readonly title: string;
  readonly question: string;
  readonly place: string;
  readonly done: number;
  readonly cells: number;
  readonly verdicts: readonly {
    readonly claim: string;
    readonly verdict: string;
    readonly numbers: string;
    readonly paper?: string;
  }[];
  readonly rows: readonly Readonly<Record<string, string>>[];
  readonly figures: readonly string[];
  readonly page?: string;
}

export function Studies() {
  const [studies, setStudies] = useState<readonly Study[]>();
  useEffect(() => {
    fetch("/studies.json")
      .then((response) => response.json() as Promise<Study[]>)
      .then(setStudies)
      .catch(() => setStudies([]));
  }, []);
  if (!studies) return <p className="hint">Reading studies.</p>;
  if (studies.length === 0)
    return (
      <p className="hint empty">
        No studies here yet. The smallest takes minutes:
        <code>npx vitok study run fig3 --scale mini</code>
      </p>
    );
  return (
    <div className="runs">
      {studies.map((study) => (
        <StudyCard key={study.name} study={study} />
      ))}
    </div>
  );
}

function StudyCard({ study }: { study: Study }) {
  const { name, title, question, place, done, cells, verdicts, rows, figures, page } = study;
  return (
    <article>
      <h2>{title}</h2>
      <p className="hint">
        {name} · {place} · {done} of {cells} cells ·{" "}
        {page && (
          <a href={page} target="_blank" rel="noreferrer">
            the whole page
          </a>
        )}
      </p>
      <p>{question}</p>
      <ul className="verdicts">
        {verdicts.map(({ claim, verdict, numbers, paper }) => (
          <li key={claim}>
            <b data-verdict={verdict}>{verdict}</b> {claim}{" "}
            <span className="hint">
              {numbers}
              {paper && `; the paper's points: ${paper}`}
            </span>
          </li>
        ))}
      </ul>
      <div className="drawn">
        {figures.map((figure) => (
          <img key={figure} src={figure} alt={`Figure of ${title}`} />
        ))}
      </div>
      <Table rows={rows} />
    </article>
  );
}

function Table({ rows }: { rows: Study["rows"] }) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return (
    <div className="table">
      <table>
        <thead>
          <tr>
            {names.map((name) => (
              <th key={name}>{name}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rows have no names and never move.
            <tr key={i}>
              {names.map((name) => (
                <td key={name}>{row[name] ?? "-"}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
