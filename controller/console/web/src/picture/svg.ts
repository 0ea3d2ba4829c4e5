// A drawing as a file of its own: SVG with its styles, in light and dark, and nothing from elsewhere.
// Pure; the page of the picture calls it. All texts come from people and are written as text.

import type { DrawnArrow, DrawnBox, Drawing } from "./drawing";

const style = `.portcullis{--paper:#fff;--ink:#18222b;--dim:#536069;--line:#76838e;--group:#eef4fa;
--edge:#3f76a8;--net:#f5f4f0;--rim:#87949f;--gained:#116638;--lost:#a8231c;--changed:#7a4d00}
@media (prefers-color-scheme:dark){.portcullis{--paper:#171d23;--ink:#e4e9ee;--dim:#9dabb6;
--line:#8795a1;--group:#1a2733;--edge:#6da3d4;--net:#23221e;--rim:#7c786c;--gained:#5ccf86;
--lost:#ff8f86;--changed:#f0b95a}}
.portcullis .paper{fill:var(--paper)}
.portcullis text{font:12px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;fill:var(--ink)}
.portcullis .title{font:600 16px system-ui,"DejaVu Sans",sans-serif}
.portcullis .label{font:600 14px system-ui,"DejaVu Sans",sans-serif}
.portcullis .about{fill:var(--dim)}
.portcullis .box rect{fill:var(--group);stroke:var(--edge);stroke-width:1.5}
.portcullis .box.fold rect{stroke-width:4;stroke-opacity:.55}
.portcullis .box.network rect{fill:var(--net);stroke:var(--rim);stroke-dasharray:5 3}
.portcullis .line{fill:none;stroke:var(--line);stroke-width:1.5}
.portcullis .head{fill:var(--line);stroke:none}
.portcullis .faint{opacity:.35}
.portcullis .service{text-anchor:middle}
.portcullis .under{fill:var(--paper)}
.portcullis .self .under{fill:none}
.portcullis .lacks .line{stroke-dasharray:1 4}
.portcullis .lacks .service{fill:var(--dim);text-decoration:line-through}
.portcullis .box.gained rect{stroke:var(--gained);stroke-width:3}
.portcullis .box.lost rect{stroke:var(--lost);stroke-dasharray:8 5}
.portcullis .gained .line{stroke:var(--gained);stroke-width:3.5}
.portcullis .gained .head,.portcullis .gained .service{fill:var(--gained)}
.portcullis .lost .line{stroke:var(--lost);stroke-width:2.5;stroke-dasharray:8 5}
.portcullis .lost .head,.portcullis .lost .service{fill:var(--lost)}
.portcullis .changed .line{stroke:var(--changed);stroke-width:2.5;stroke-dasharray:14 3 3 3}
.portcullis .changed .head,.portcullis .changed .service{fill:var(--changed)}
.portcullis .gained .service,.portcullis .lost .service,.portcullis .changed .service{
font-weight:700}`;

const titleHeight = 34;

/** text makes a text of people one of XML; what XML has no letter for is shown as unknown. */
export function text(s: string): string {
  return s.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd")
    .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd")
    .replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

const n = (v: number): string => String(Math.round(v * 10) / 10);

/** svgText writes a drawing as a file. */
export function svgText(d: Drawing, title: string): string {
  const width = Math.max(d.width, 360), height = d.height + titleHeight;
  return [
    `<svg class="portcullis" xmlns="http://www.w3.org/2000/svg" width="${n(width)}" ` +
    `height="${n(height)}" viewBox="0 0 ${n(width)} ${n(height)}" role="img" ` +
    `aria-labelledby="picture-title picture-text">`,
    `<title id="picture-title">${text(title)}</title>`,
    `<desc id="picture-text">${text(d.arrows.map((a) => a.name).join(". "))}</desc>`,
    `<style>${style}</style>`,
    `<rect class="paper" width="100%" height="100%"/>`,
    `<text class="title" x="24" y="30">${text(title)}</text>`,
    `<g transform="translate(0 ${titleHeight})">`,
    ...d.arrows.filter((a) => isFaint(a)).map(lines),
    ...d.arrows.filter((a) => !isSelf(a) && !isFaint(a)).map(lines),
    ...d.boxes.map(box),
    ...d.arrows.filter(isSelf).map(lines),
    ...d.arrows.map(label),
    "</g></svg>", "",
  ].join("\n");
}

const isFaint = (a: DrawnArrow): boolean => a.className.includes("faint");
const isSelf = (a: DrawnArrow): boolean => a.arrow.from === a.arrow.to;

const lines = (a: DrawnArrow): string =>
  `<g class="${a.className}"><title>${text(a.name)}</title><path class="line" d="${a.line}"/>` +
  `<path class="head" d="${a.head}"/></g>`;

function label(a: DrawnArrow): string {
  if (a.label === undefined) return "";
  const { x, y, width, text: words } = a.label;
  return `<g class="${a.className}"><rect class="under" x="${n(x - width / 2)}" y="${n(y - 8)}" ` +
    `width="${n(width)}" height="16"/><text class="service" x="${n(x)}" y="${n(y + 4)}">` +
    `${text(words)}</text></g>`;
}

function box(b: DrawnBox): string {
  return `<g class="${b.className}"><title>${text(b.name)}</title>` +
    `<rect x="${n(b.x)}" y="${n(b.y)}" width="${n(b.width)}" height="${n(b.height)}" rx="6"/>` +
    `<text class="label" x="${n(b.x + 10)}" y="${n(b.y + 20)}">${text(b.label)}</text>` +
    b.about.map((line, at) => `<text class="about" x="${n(b.x + 10)}" ` +
      `y="${n(b.y + 38 + 16 * at)}">${text(line)}</text>`).join("") +
    (b.hub === "" ? "" : `<text class="about" x="${n(b.x + 10)}" y="${n(b.y + b.height - 10)}">` +
      `${text(b.hub)}</text>`) + "</g>";
}
