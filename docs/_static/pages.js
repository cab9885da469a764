/* What pages.css cannot find out about a page: which tables are wide, the headings of their columns,
   and which outputs are help texts. */

document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.docutils")) {
    const headings = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    const room = table.parentElement.clientWidth;
    if (headings.length < 3 && table.scrollWidth <= room) continue;
    table.classList.add("cards");
    for (const cell of table.querySelectorAll("tbody td")) {
      if (cell.cellIndex > 0) cell.dataset.heading = headings[cell.cellIndex];
    }
  }
  for (const output of document.querySelectorAll("div.highlight-text")) {
    if (output.textContent.startsWith("usage:")) output.classList.add("help");
  }
});
