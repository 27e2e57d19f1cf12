
"use strict";
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  for (const part of all("[data-needs-script]")) part.hidden = false;

  // --- the policy, by words
  const rows = all("#policy-rows tr").map((row) => ({ row, text: row.textContent.toLowerCase() }));
  const filter = () => {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const kind = byId("search-class").value;
    const changed = byId("search-changed")?.checked ?? false;
    let shown = 0;
    for (const { row, text } of rows) {
      const fits = words.every((word) => text.includes(word))
        && (kind === "" || row.dataset.class === kind)
        && (!changed || row.dataset.changed === "yes");
      row.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    byId("search-count").textContent = `${shown} of ${rows.length} columns`;
  };
  if (byId("search")) {
    for (const id of ["search", "search-class", "search-changed"]) byId(id)?.addEventListener("input", filter);
    filter();
  }

  // --- the checklist
  const form = byId("checklist-form");
  if (!form) return;
  const boxes = [...form.querySelectorAll("input[type=checkbox]")];
  const tally = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    for (const place of all("[data-tally]")) place.textContent = `${ticked} of ${boxes.length} ticked`;
  };
  for (const box of boxes) box.addEventListener("change", tally);
  tally();
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("save")?.addEventListener("click", () => {
    const items = {};
    for (const box of [...boxes].sort((one, other) => (one.name < other.name ? -1 : 1))) items[box.name] = box.checked;
    const { version, release, manifest } = form.dataset;
    const text = JSON.stringify({ checklist: Number(version), items, manifest_sha256: manifest, release });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = `${release}-checklist.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    const left = boxes.filter((box) => !box.checked).length;
    byId("saved").textContent = left === 0
      ? `Saved as ${link.download}, in your folder of downloads.`
      : `Saved as ${link.download}. It is not complete (${left} not ticked), so approve will refuse it.`;
  });
})();
