"use strict";
// Tables are whole without this; it lets them be sorted and filtered, and on a narrow screen stacks their cells.
const narrow = matchMedia("(max-width: 40rem)");
const role = (elements, name) => { for (const element of elements) element.setAttribute("role", name); };
const stack = (table) => {
  const heads = Array.from(table.tHead.rows[0].cells, (head) => head.textContent);
  // What is no longer laid out as a table is still one to a screen reader.
  role([table], "table");
  role(table.tBodies, "rowgroup");
  role(table.tBodies[0].rows, "row");
  for (const row of table.tBodies[0].rows) {
    Array.from(row.cells).forEach((cell, at) => {
      cell.setAttribute("role", at ? "cell" : "rowheader");
      if (at) cell.dataset.label = heads[at];
    });
  }
};
const fit = () => {
  for (const table of document.querySelectorAll("table")) {
    if (narrow.matches && !table.hasAttribute("role")) stack(table);
    table.classList.toggle("stack", narrow.matches);
  }
};
fit();
narrow.addEventListener("change", fit);
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.textContent = "";
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.key || row.cells[column].textContent.trim();
      const rows = Array.from(body.rows);
      rows.sort((a, b) => key(a).localeCompare(key(b), "en", { numeric: true }) * (up ? 1 : -1));
      body.append(...rows);
    });
  });
}
const form = document.querySelector("form.filter");
if (form) {
  form.hidden = false;
  const rows = Array.from(document.getElementById(form.dataset.table).tBodies[0].rows);
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const shown = form.querySelector("output");
  const apply = () => {
    const words = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = form.elements.status.value;
    const contract = form.elements.contract.value;
    let count = 0;
    rows.forEach((row, at) => {
      const fits = (!status || row.dataset.status === status) && (!contract || row.dataset.contract === contract)
        && words.every((word) => texts[at].includes(word));
      row.hidden = !fits;
      if (fits) count += 1;
    });
    shown.textContent = `${count} of ${rows.length} falsifiers shown`;
  };
  const read = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const name of ["q", "status", "contract"]) {
      if (asked.has(name)) form.elements[name].value = asked.get(name);
    }
    apply();
    if (asked.has("status")) form.scrollIntoView();
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  addEventListener("hashchange", read);
  read();
}
