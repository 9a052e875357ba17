// Sorts and filters the tables of a page, and tells at once what the mark of a chart shows that somebody points at or
// taps; without it everything reads as before, and a browser shows the same words, as titles, after a while.
const tip = document.createElement("div"), told = new Map();
tip.className = "tip"; tip.hidden = true; document.body.append(tip);
for (const title of document.querySelectorAll("figure svg g > title")) {
  const drawing = title.closest("svg"), marks = told.get(drawing) || [];
  marks.push([title.parentElement, title.textContent]); told.set(drawing, marks); title.remove();
}
for (const [drawing, marks] of told) {
  const show = (event) => {
    let nearest = 24, found = null;
    for (const [mark, words] of marks) {
      const box = mark.getBoundingClientRect();
      const away = (from, to, at) => Math.max(from - at, at - to, 0);
      const far = Math.hypot(away(box.left, box.right, event.clientX), away(box.top, box.bottom, event.clientY))
        + Math.hypot((box.left + box.right) / 2 - event.clientX, (box.top + box.bottom) / 2 - event.clientY) / 1e4;
      if (far < nearest) [nearest, found] = [far, [box, words]];
    }
    tip.hidden = !found;
    if (!found) return;
    tip.textContent = found[1];
    const left = Math.min(event.clientX, document.documentElement.clientWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(left, 8) + scrollX}px`; tip.style.top = `${Math.max(event.clientY - tip.offsetHeight - 14, 4) + scrollY}px`;
  };
  drawing.addEventListener("pointermove", show); drawing.addEventListener("pointerdown", show);
  drawing.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") tip.hidden = true; });
}
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], heads = table.tHead ? [...table.tHead.rows[0].cells] : [];
  if (!body || body.rows.length < 4 || !heads.length) continue;
  const value = (row, place) => row.cells[place] ? row.cells[place].textContent.trim() : "";
  const number = (text) => { const found = text.replace(/,/g, "").match(/^[^\d.+-]*([-+]?\d*\.?\d+(e[-+]?\d+)?)/i); return found ? Number(found[1]) : NaN; };
  heads.forEach((head, place) => {
    if (head.tagName !== "TH") return;
    const button = document.createElement("button");
    button.type = "button"; button.className = "sort"; button.textContent = head.textContent;
    button.title = "Sort by this column"; head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows], texts = new Map(rows.map((row) => [row, value(row, place)]));
      const numeric = rows.every((row) => !texts.get(row) || texts.get(row) === "–" || !Number.isNaN(number(texts.get(row))));
      rows.sort((a, b) => {
        const [x, y] = [texts.get(a), texts.get(b)];
        const order = numeric ? (Number.isNaN(number(x)) - Number.isNaN(number(y))) || number(x) - number(y) || 0 : x.localeCompare(y);
        return down ? -order : order;
      });
      body.append(...rows);
    });
  });
  if (body.rows.length < 12) continue;
  const box = document.createElement("input");
  box.type = "search"; box.className = "filter"; box.placeholder = "Filter these rows";
  box.setAttribute("aria-label", "Filter the rows of this table");
  box.addEventListener("input", () => {
    const wanted = box.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  table.parentElement.before(box);
}
