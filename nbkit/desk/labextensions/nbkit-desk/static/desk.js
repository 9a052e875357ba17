/* What JupyterLab and ipywidgets lack at the desk.
   - It goes to the cell of `…/lab/tree/PATH#cell-id=ID`: JupyterLab does so for a notebook that is open, not at its start.
   - A key pressed in a widget is the widget's: else `d d` on a slider or a list deletes its cell, and `a` adds another.
   - The handle of a slider is called what stands before it, so that a screen reader can say it.
   - A picture of nbkit is called what its SVG is called: JupyterLab shows it as an image without a name.
   - The arrow of a list is light in a dark theme: ipywidgets draws it in one color.
   - A widget whose kernel is gone shows its static twin, as it was saved, in place of "model not found". */
const GONE = "Error displaying widget: model not found";
const ARROW = `[data-jp-theme-light="false"] { --jp-widgets-dropdown-arrow: url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E%3Cpath fill='%23ccc' d='M5 7h8l-4 4z'/%3E%3C/svg%3E"); }`;
const SAVED = "As it was when this notebook was saved; run the cell to have the widget.";

(globalThis._JUPYTERLAB ??= {})["nbkit-desk"] = {
  init: () => {},
  get: async () => () => ({ __esModule: true, default: { id: "nbkit-desk:desk", autoStart: true, activate } }),
};

function activate(app) {
  addEventListener("keydown", keep, true);
  const mend = () => {
    nameSliders();
    namePictures();
    showTwins(app);
  };
  const style = document.createElement("style");
  style.textContent = ARROW;
  document.head.append(style);
  new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
  goToCell(app);
}

function keep(event) {
  if (!event.target.closest?.(".jupyter-widgets")) return;
  const shortcut = event.ctrlKey || event.metaKey || event.altKey || event.key === "Escape";
  event.target.toggleAttribute("data-lm-suppress-shortcuts", !shortcut);
}

function nameSliders() {
  for (const handle of document.querySelectorAll(".widget-slider .noUi-handle:not([aria-label])")) {
    const name = handle.closest(".widget-slider").querySelector(".widget-label")?.textContent;
    if (name) handle.setAttribute("aria-label", name);
  }
}

function namePictures() {
  for (const image of document.querySelectorAll(".jp-RenderedSVG img:not([alt])")) {
    const source = decodeURIComponent(image.src.slice(image.src.indexOf(",") + 1));
    const svg = new DOMParser().parseFromString(source, "image/svg+xml").documentElement;
    image.alt = svg.getAttribute("aria-label") ?? "";
  }
}

async function showTwins(app) {
  for (const node of document.querySelectorAll(".jp-OutputArea-output.jupyter-widgets")) {
    if (node.textContent !== GONE) continue;
    const child = node.closest(".jp-OutputArea-child");
    const cells = app.shell.currentWidget?.content?.widgets ?? [];
    const area = cells.find((cell) => cell.node.contains(node))?.outputArea;
    const output = area?.model.get([...child.parentNode.children].indexOf(child));
    if (!output?.data["text/html"]) continue;
    const twin = area.rendermime.createRenderer("text/html");
    const words = document.createElement("p");
    words.append(SAVED);
    node.replaceChildren(words, twin.node);
    node.classList.replace("jupyter-widgets", "jp-RenderedHTMLCommon");
    await twin.renderModel(output);
  }
}

function goToCell(app) {
  const id = new URLSearchParams(location.hash.slice(1)).get("cell-id");
  const path = decodeURIComponent(location.pathname).split("/tree/")[1];
  if (!id || !path) return;
  const go = async () => {
    const panel = app.shell.currentWidget;
    if (panel?.context?.path !== path) return; // another one, of the last time
    app.shell.currentChanged.disconnect(go);
    await Promise.all([panel.context.ready, panel.revealed]);
    const notebook = panel.content;
    const place = notebook.widgets.findIndex((cell) => cell.model.id === id);
    if (place < 0) return;
    notebook.activeCellIndex = place;
    for (let tries = 0; tries < 8 && notebook.activeCellIndex === place; tries++) {
      await notebook.scrollToItem(place, "center"); // again: outputs above it are still being drawn, and push it down
      await new Promise((done) => setTimeout(done, 400));
    }
  };
  app.restored.then(() => {
    app.shell.currentChanged.connect(go);
    go();
  });
}
