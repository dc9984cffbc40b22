"use strict";
// Tables sort by a column: a button in each heading, so the keyboard works, and aria-sort says how it stands.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const rows = [...body.rows];
      const keys = new Map(rows.map((row) => [row, row.cells[column].dataset.key]));
      // numbers by size, texts as people sort them ("2 ranks" before "10 ranks"), what is missing always last
      const numeric = rows.every((row) => keys.get(row) === "" || Number.isFinite(Number(keys.get(row))));
      rows.sort((one, other) => {
        const [a, b] = [keys.get(one), keys.get(other)];
        if (a === "" || b === "") return (a === "") - (b === "");
        const order = numeric ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true });
        return descending ? -order : order;
      });
      body.append(...rows);
    });
  });
}
