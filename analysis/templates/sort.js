for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows].at(-1).cells;
  [...headers].forEach((header, index) => {
    header.tabIndex = 0;
    const value = (row) => row.cells[index].dataset.value ?? row.cells[index].textContent;
    const compare = (a, b) => (isNaN(a) || isNaN(b) ? String(a).localeCompare(b) : a - b);
    const missing = (v) => v === "" || v === "nan" || v === "–";
    const sort = () => {
      const ascending = header.ariaSort !== "ascending";
      for (const other of headers) other.removeAttribute("aria-sort");
      header.ariaSort = ascending ? "ascending" : "descending";
      for (const body of table.tBodies) {
        const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
        rows.sort((a, b) => {
          const [x, y] = [value(a), value(b)];
          if (missing(x) || missing(y)) return missing(x) - missing(y);
          return ascending ? compare(x, y) : compare(y, x);
        });
        body.append(...rows);
      }
    };
    header.addEventListener("click", sort);
    header.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); }
    });
  });
}
