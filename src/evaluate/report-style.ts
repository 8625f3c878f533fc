// The report's style sheet: one column of text, wide rows of pictures, light and dark, phone and desk.

export const styles = `
:root {
  color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #1d1c1a; --soft: #6d6a64; --line: #e4e1db; --accent: #2f5d8a;
  --series-1: #2f5d8a; --series-2: #c2602e; --series-3: #3f8060; --series-4: #8a4f8f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #161616; --card: #1f1f1f; --ink: #ece9e4; --soft: #9c988f; --line: #343331; --accent: #8fb8e0;
    --series-1: #8fb8e0; --series-2: #e69a6e; --series-3: #86c5a2; --series-4: #c99acd;
  }
}
* { box-sizing: border-box; margin: 0; }
body {
  background: var(--paper); color: var(--ink); line-height: 1.5; font-size: 16px;
  font-family: "Inter", "Helvetica Neue", "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
main { max-width: 64rem; margin: 0 auto; padding: clamp(1.5rem, 5vw, 4rem) clamp(1rem, 4vw, 2.5rem) 6rem; }
.kicker { color: var(--accent); font-size: .8rem; letter-spacing: .09em; text-transform: uppercase; }
h1 { font-size: clamp(2rem, 6vw, 3.2rem); line-height: 1.1; letter-spacing: -.02em; font-weight: 650; margin: .25rem 0 .75rem; overflow-wrap: anywhere; }
.summary { font-size: 1.1rem; color: var(--soft); max-width: 42rem; text-wrap: pretty; }
section { margin-top: 3.5rem; }
h2 { font-size: 1.3rem; font-weight: 650; letter-spacing: -.01em; padding-top: .9rem; border-top: 1px solid var(--line); }
.note { color: var(--soft); font-size: .92rem; margin-top: .15rem; }
h2 + *, .note + * { margin-top: 1.25rem; }

.scores { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1px; margin-top: 2.25rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; overflow: hidden; }
/* Lines are drawn by the cards, so that a last row that is not full stays clean. */
.scores > div { background: var(--card); outline: 1px solid var(--line); padding: 1rem 1.2rem 1.1rem; }
.scores dt { color: var(--soft); font-size: .9rem; }
.scores dt span { color: var(--accent); }
.scores dd { font-size: 2rem; line-height: 1.2; font-weight: 600; letter-spacing: -.02em; }
.scores small { font-size: 1rem; font-weight: 400; letter-spacing: 0; margin-left: .3rem; color: var(--soft); }
.scores .detail { font-size: .82rem; font-weight: 400; letter-spacing: 0; color: var(--soft); }
.warning { color: var(--soft); font-size: .92rem; margin-top: 1rem; padding-left: .9rem; border-left: 3px solid var(--accent); }

article + article { margin-top: 2rem; }
.file { display: flex; gap: .75rem; align-items: baseline; font-size: .92rem; margin-bottom: .45rem; }
.file span { overflow-wrap: anywhere; min-width: 0; }
.file em { font-style: normal; font-size: .76rem; color: var(--accent); border: 1px solid currentColor; border-radius: 1rem; padding: 0 .55rem; white-space: nowrap; }
.file b { margin-left: auto; font-weight: 600; white-space: nowrap; }
.triple { display: grid; grid-template-columns: repeat(3, 1fr); gap: clamp(.25rem, 1vw, .75rem); }
.moving > div { display: grid; grid-template-columns: repeat(3, 1fr); }
.moving img { display: block; width: 100%; height: auto; image-rendering: pixelated; }
.triple img { display: block; width: 100%; height: auto; border-radius: .3rem; image-rendering: pixelated; background: var(--line); }
figcaption { color: var(--soft); font-size: .8rem; margin-bottom: .3rem; }
article + article .moving figcaption, article + article .triple figcaption { display: none; }

.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1.75rem; }
.charts figcaption { color: var(--ink); font-size: .95rem; font-weight: 600; margin-bottom: .4rem; }
.charts svg { display: block; width: 100%; height: auto; overflow: visible; color: var(--soft); }

table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .35rem; }
th, td { text-align: left; vertical-align: top; padding: .42rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 400; padding-right: 1.5rem; }
td:last-child { text-align: right; white-space: nowrap; }
.facts th { color: var(--soft); width: 13rem; }
.facts td:last-child { text-align: left; white-space: normal; }
.numbers td { text-align: right; white-space: nowrap; padding-left: 1.25rem; }
.numbers + article { margin-top: 2rem; }
.numbers tr:first-child { color: var(--soft); }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1.5rem 3rem; align-items: start; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .9rem 1.1rem; overflow-x: auto; font-size: .85rem; line-height: 1.55; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
pre + table, table + details, pre + details { margin-top: 1.25rem; }
summary { cursor: pointer; color: var(--accent); margin-bottom: .6rem; }
@media (max-width: 32rem) {
  .facts th { width: 8rem; padding-right: .75rem; }
  .file { flex-wrap: wrap; row-gap: 0; }
  .scores dd { font-size: 1.6rem; }
  .scores .detail { font-size: .8rem; }
  .scores { grid-template-columns: 1fr 1fr; }
}
@media print { section { break-inside: avoid; } body { background: none; } }
`;
