// Sorts and filters the tables of a page; without it everything reads as before.
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
