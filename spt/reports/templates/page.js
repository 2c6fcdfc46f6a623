"use strict";
// A click on the title of a column sorts its table; a second one turns the order round.
for (const table of document.querySelectorAll("table.sortable")) {
  const titles = [...table.tHead.rows[0].cells];
  titles.forEach((title, place) => {
    if (!title.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...title.childNodes);
    title.append(button);
    button.addEventListener("click", () => {
      const rising = title.getAttribute("aria-sort") === "descending" || (title.ariaSort === null && !title.classList.contains("number"));
      for (const other of titles) other.removeAttribute("aria-sort");
      title.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const value = (row) => row.cells[place].dataset.number ?? row.cells[place].textContent;
      const order = new Intl.Collator(undefined, { numeric: true });
      const missing = (row) => title.classList.contains("number") && row.cells[place].dataset.number === undefined;
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => missing(a) - missing(b) || (rising ? 1 : -1) * compare(value(a), value(b), order));
      table.tBodies[0].append(...rows);
    });
  });
}

function compare(a, b, order) {
  const [first, second] = [Number(a), Number(b)];
  return Number.isNaN(first) || Number.isNaN(second) ? order.compare(a, b) : first - second;
}

// A printed page shows what is folded away.
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});

// A link to a folded part opens it.
function unfold() {
  document.getElementById(location.hash.slice(1))?.querySelector(":scope > details")?.setAttribute("open", "");
}
addEventListener("hashchange", unfold);
unfold();
