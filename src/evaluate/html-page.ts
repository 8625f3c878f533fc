// The frame of a page that stands alone in one file: reports and studies.
import { styles } from "./report-style.js";

/** `title` is HTML; sections that are empty are left out. */
export function htmlPage(title: string, sections: readonly string[], extraStyles = ""): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · ViTok</title>
<style>${styles}${extraStyles}</style>
</head>
<body>
<main>
${sections.filter(Boolean).join("\n")}
</main>
</body>
</html>
`;
}
