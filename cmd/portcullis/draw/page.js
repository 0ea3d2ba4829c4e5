"use strict";
// The page's script: it shows the rules of what is pointed at, and what a service is admitted by.
// All that comes from people becomes text, never markup.
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const details = document.getElementById("details");
  const filter = document.getElementById("filter");
  const found = document.getElementById("found");
  const arrows = [...document.querySelectorAll("g.arrow")];
  const boxes = [...document.querySelectorAll("g.box")];
  const rows = [...document.querySelectorAll("text.row")];
  const cells = [...document.querySelectorAll("td[data-from]")];
  let kept = null; // what a click keeps

  // a choice is {arrows: numbers, box: a number or null, cell: [from, to] or null}
  const ofBox = (n) => ({
    arrows: data.arrows.flatMap((a, i) => (a.from === n || a.to === n ? [i] : [])), box: n, cell: null });
  const ofArrow = (n) => ({ arrows: [n], box: null,
    cell: [data.boxes[data.arrows[n].from].name, data.boxes[data.arrows[n].to].name] });
  const ofCell = (td) => {
    const cell = [td.dataset.from, td.dataset.to];
    const all = data.arrows.flatMap((a, i) =>
      (data.boxes[a.from].name === cell[0] && data.boxes[a.to].name === cell[1] ? [i] : []));
    return { arrows: all, box: null, cell };
  };

  function element(name, text, kind) {
    const e = document.createElement(name);
    e.textContent = text;
    if (kind) e.className = kind;
    return e;
  }

  function tellArrow(n) {
    const a = data.arrows[n];
    const all = element("div", "");
    const head = element("h3", data.boxes[a.from].name + " → " + data.boxes[a.to].name);
    if (a.state) head.append(" ", element("span", a.state, a.state));
    all.append(head);
    const services = element("p", "");
    services.append(element("code", a.services.join(", ")), element("span", ", " + a.direction, "dim"));
    all.append(services);
    if (a.lacks) all.append(element("p", "Passes nothing: " + a.lacks + ".", "dim"));
    if (a.reason) all.append(element("p", a.reason));
    const list = element("ul", "");
    for (const r of a.rules) {
      const item = element("li", "");
      item.append(element("code", r.group + ": " + r.rule));
      if (r.description) item.append(element("span", " " + r.description, "dim"));
      if (r.at !== "-") item.append(element("span", r.at, "at"));
      list.append(item);
    }
    all.append(list);
    return all;
  }

  function tell(choice) {
    details.replaceChildren();
    if (!choice) {
      details.append(element("h2", "Rules"),
        element("p", "Nothing is chosen. Point at a group, an arrow or a cell of the table.", "dim"));
      return;
    }
    if (choice.box !== null) {
      const b = data.boxes[choice.box];
      details.append(element("h2", b.name), element("p", b.about || b.kind, "dim"));
    } else if (choice.cell) {
      details.append(element("h2", choice.cell[0] + " → " + choice.cell[1]));
      const td = cells.find((c) => c.dataset.from === choice.cell[0] && c.dataset.to === choice.cell[1]);
      if (td) details.append(element("p", "Passes: " + td.textContent.trim().replace(/\s+/g, " ")));
    }
    if (!choice.arrows.length) {
      details.append(element("p", choice.cell
        ? "No rule names both: what passes is admitted to outside, or to a network or group that it is part of."
        : "No rule is about it.", "dim"));
    }
    const rules = element("div", "", "rules");
    rules.append(...choice.arrows.map(tellArrow));
    details.append(rules);
    details.scrollTop = 0;
  }

  function show(choice) {
    const on = new Set(choice ? choice.arrows.map(String) : []);
    root.classList.toggle("chosen", Boolean(choice));
    for (const a of arrows) a.classList.toggle("on", on.has(a.dataset.arrow));
    for (const r of rows) r.classList.toggle("on", on.has(r.dataset.row));
    for (const b of boxes) b.classList.toggle("on", Boolean(choice) && Number(b.dataset.box) === choice.box);
    for (const c of cells) {
      c.classList.toggle("on", Boolean(choice && choice.cell) && c.dataset.from === choice.cell[0] &&
        c.dataset.to === choice.cell[1]);
    }
    tell(choice);
  }

  function choiceAt(target) {
    const row = target.closest("text.row");
    if (row && row.dataset.row !== "-1") return ofArrow(Number(row.dataset.row));
    const at = target.closest("g.arrow, g.box, td[data-from]");
    if (!at) return null;
    if (at.matches("td")) return at.querySelector(".service") ? ofCell(at) : null;
    return at.matches(".arrow") ? ofArrow(Number(at.dataset.arrow)) : ofBox(Number(at.dataset.box));
  }

  for (const kind of ["mouseover", "focusin"]) {
    document.addEventListener(kind, (e) => { if (!kept) show(choiceAt(e.target)); });
  }
  document.addEventListener("click", (e) => {
    if (e.target.closest("aside, header")) return;
    kept = choiceAt(e.target);
    show(kept);
  });
  document.addEventListener("keydown", (e) => {
    const choice = e.target.closest ? choiceAt(e.target) : null;
    if ((e.key === "Enter" || e.key === " ") && choice) {
      e.preventDefault();
      kept = choice;
      show(kept);
    } else if (e.key === "Escape") {
      kept = null;
      show(null);
      if (filter.value) { filter.value = ""; search(); }
    }
  });
  // when the key is let go, so that it is not written into the field
  document.addEventListener("keyup", (e) => {
    if (e.key === "/" && e.target !== filter) filter.focus();
  });

  // A service is [protocol, first, last]: "tcp/80-443", "icmp/8", "esp", "any".
  function parse(word) {
    const m = /^(any|[a-z0-9]+)(?:\/(\d+)(?:-(\d+))?(?:\/.*)?)?$/.exec(word.replace(/ \(IPv[46]\)$/, "")
      .replace(/^protocol\//, ""));
    return m && [m[1], m[2] === undefined ? 0 : Number(m[2]), m[3] !== undefined ? Number(m[3])
      : m[2] !== undefined ? Number(m[2]) : 65535];
  }
  const meets = (a, b) => a && b && (a[0] === "any" || b[0] === "any" || a[0] === b[0] && a[1] <= b[2] && b[1] <= a[2]);
  function admits(words, asked) {
    const butAt = words.findIndex((w) => w.startsWith("any but "));
    if (butAt >= 0) {
      const but = words.map((w) => parse(w.replace(/^any but /, "")));
      return asked.some((s) => !but.some((b) => b && b[0] === s[0] && b[1] <= s[1] && s[2] <= b[2]));
    }
    return words.some((w) => asked.some((s) => meets(parse(w), s)));
  }
  function asked(text) {
    const words = text.toLowerCase().split(/[\s,]+/).filter(Boolean).flatMap((w) => data.services[w] || [w]);
    return words.map(parse);
  }

  function search() {
    const text = filter.value.trim();
    const services = asked(text);
    const known = services.length > 0 && services.every(Boolean);
    root.classList.toggle("filtered", known);
    filter.setAttribute("aria-invalid", String(Boolean(text) && !known));
    let n = 0;
    const hits = data.arrows.map((a) => known && admits(a.services, services));
    for (const a of arrows) a.classList.toggle("found", hits[Number(a.dataset.arrow)]);
    for (const r of rows) r.classList.toggle("found", Boolean(hits[Number(r.dataset.row)]));
    for (const c of cells) {
      const words = [...c.querySelectorAll(".service")].map((s) => s.textContent);
      const hit = known && words.length > 0 && admits(words, services);
      c.classList.toggle("found", hit);
      if (hit) n++;
    }
    found.textContent = !text ? "" : known ? n + (n === 1 ? " pair" : " pairs") : "write tcp/22, ssh or any";
  }
  filter.addEventListener("input", search);
  tell(null);
  search();
})();
