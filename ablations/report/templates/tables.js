// Sorting by a click on a column's name, and a search box above tables with many rows.
// Without this script the page shows the same; nothing is loaded and nothing is sent.
"use strict";
(() => {
  const MANY = 9;
  const text = (row, column) => row.cells[column].textContent.trim();
  const empty = (value) => value === "" || value === "-";
  const number = (value) => /^[+-]?\d/.test(value) ? parseFloat(value) : NaN;

  function sort(table, head, column) {
    const body = table.tBodies[0], rows = [...body.rows];
    const values = rows.map((row) => text(row, column)).filter((value) => !empty(value));
    const numeric = values.length > 0 && values.every((value) => !isNaN(number(value)));
    const old = head.getAttribute("aria-sort");
    // Numbers are shown from the highest at first, words from A.
    const down = old === null ? numeric : old === "ascending";
    rows.sort((a, b) => {
      const x = text(a, column), y = text(b, column);
      if (empty(x) || empty(y)) return empty(x) - empty(y); // always at the end
      const order = numeric ? number(x) - number(y) : x.localeCompare(y, "en", {numeric: true});
      return down ? -order : order;
    });
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  }

  function search(table) {
    const box = document.createElement("input"), count = document.createElement("output");
    const label = document.createElement("label"), bar = document.createElement("div");
    const rows = [...table.tBodies[0].rows];
    box.type = "search";
    box.placeholder = "Search";
    label.append(box);
    box.setAttribute("aria-label", `Search in: ${table.caption ? table.caption.textContent : "table"}`);
    const look = () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      let found = 0;
      for (const row of rows) {
        const all = [...row.cells].map((cell) => cell.textContent.toLowerCase()).join("\n");
        row.hidden = !words.every((word) => all.includes(word));
        found += !row.hidden;
      }
      count.textContent = words.length ? `${found} of ${rows.length} rows` : `${rows.length} rows`;
    };
    box.addEventListener("input", look);
    bar.className = "bar";
    bar.append(label, count);
    table.parentElement.before(bar);
    look();
  }

  for (const table of document.querySelectorAll("table.data")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, head, column));
      head.append(button);
    });
    if (table.tBodies[0].rows.length >= MANY) search(table);
  }
})();
