/* Goes to the cell of `…/lab/tree/PATH#cell-id=ID`: JupyterLab does so for a notebook that is open, not at its start. */
(globalThis._JUPYTERLAB ??= {})["nbkit-desk"] = {
  init: () => {},
  get: async () => () => ({ __esModule: true, default: { id: "nbkit-desk:open-cell", autoStart: true, activate } }),
};

function activate(app) {
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
