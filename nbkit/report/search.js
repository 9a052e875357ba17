(() => {
  const main = document.getElementById("main"), rows = [...main.querySelectorAll("tbody tr")];
  const label = document.createElement("label"), field = document.createElement("input");
  const status = document.createElement("span");
  field.type = "search";
  status.setAttribute("role", "status");
  label.append("Search ", field);
  main.prepend(label, " ", status);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    status.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  });
})();
