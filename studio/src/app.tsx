// The frame around the studio's views: which one, which model, light or dark.
import { useEffect, useState } from "react";
import { Bench } from "./bench.js";
import { labelOf, type Offer, readOffer } from "./models.js";
import { Runs } from "./runs.js";
import { Samples } from "./samples.js";
import { Studies } from "./studies.js";

type Theme = "auto" | "light" | "dark";
const themes: readonly Theme[] = ["auto", "light", "dark"];
const views = { picture: "Picture", samples: "Samples", runs: "Runs", studies: "Studies" } as const;
type View = keyof typeof views;

const viewOf = (hash: string): View => {
  const name = hash.slice(1);
  return name in views ? (name as View) : "picture";
};

export function App() {
  const [offer, setOffer] = useState<Offer>();
  const [chosen, setChosen] = useState("");
  const [view, setView] = useState<View>(viewOf(location.hash));
  const [theme, setTheme] = useState<Theme>((localStorage.getItem("theme") as Theme) ?? "auto");

  useEffect(() => {
    readOffer()
      .then((found) => {
        setOffer(found);
        setChosen(found.models[0] ? labelOf(found.models[0]) : "");
      })
      .catch(() => setOffer({ models: [] }));
  }, []);
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
  }, [theme]);
  useEffect(() => {
    history.replaceState(null, "", `#${view}`);
    const follow = () => setView(viewOf(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, [view]);

  const models = offer?.models;
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
          {view === "picture" && models && models.length > 0 && (
            <label>
              <span>Model</span>
              <select value={chosen} onChange={(event) => setChosen(event.target.value)}>
                {models.map((model) => (
                  <option key={labelOf(model)}>{labelOf(model)}</option>
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
      {offer?.trouble && <p className="banner">{offer.trouble}</p>}
      <main>
        {view === "picture" && (
          <Bench models={models} model={models?.find((each) => labelOf(each) === chosen)} />
        )}
        {view === "samples" && <Samples models={models} />}
        {view === "runs" && <Runs />}
        {view === "studies" && <Studies />}
      </main>
    </>
  );
}
