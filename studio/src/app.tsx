// The frame around the studio's views: which one, which model, light or dark.
import { useEffect, useState } from "react";
import { Bench } from "./bench.js";
import { Runs } from "./runs.js";

interface Served {
  readonly name: string;
  readonly url: string;
  readonly variant: string;
}

type Theme = "auto" | "light" | "dark";
const themes: readonly Theme[] = ["auto", "light", "dark"];
const views = { picture: "Picture", runs: "Runs" } as const;
type View = keyof typeof views;

export function App() {
  const [models, setModels] = useState<readonly Served[]>();
  const [chosen, setChosen] = useState("");
  const [view, setView] = useState<View>(location.hash === "#runs" ? "runs" : "picture");
  const [theme, setTheme] = useState<Theme>((localStorage.getItem("theme") as Theme) ?? "auto");

  useEffect(() => {
    fetch("/models.json")
      .then((response) => response.json() as Promise<Served[]>)
      .then((list) => {
        setModels(list);
        setChosen(list[0]?.name ?? "");
      })
      .catch(() => setModels([]));
  }, []);
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
  }, [theme]);
  useEffect(() => history.replaceState(null, "", `#${view}`), [view]);

  const model = models?.find(({ name }) => name === chosen);
  return (
    <>
      <header>
        <h1>
          ViTok <em>studio</em>
        </h1>
        <nav>
          {Object.entries(views).map(([name, label]) => (
            <button
              key={name}
              type="button"
              aria-current={view === name ? "page" : undefined}
              onClick={() => setView(name as View)}
            >
              {label}
            </button>
          ))}
        </nav>
        <div className="tools">
          {models && models.length > 0 && (
            <label>
              <span>Model</span>
              <select value={chosen} onChange={(event) => setChosen(event.target.value)}>
                {models.map(({ name, variant }) => (
                  <option key={name} value={name}>
                    {name} · {variant}
                  </option>
                ))}
              </select>
            </label>
          )}
          <button
            type="button"
            onClick={() => setTheme(themes[(themes.indexOf(theme) + 1) % themes.length]!)}
          >
            Theme: {theme}
          </button>
        </div>
      </header>
      <main>
        {view === "picture" ? (
          <Bench url={model?.url} hasModels={models?.length !== 0} />
        ) : (
          <Runs />
        )}
      </main>
    </>
  );
}
