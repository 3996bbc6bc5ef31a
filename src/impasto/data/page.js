"use strict";
// The pictures large, in one dialog for all cells. All that is shown stands in the page already: what belongs to a cell
// is in the <template> after its button.

const dialog = document.querySelector("dialog");
const label = document.getElementById("label");
const large = dialog.querySelector(".large");
const details = dialog.querySelector(".details");
const closing = document.getElementById("close");
const cells = Array.from(document.querySelectorAll("button.cell"));
let current = null;

function show(cell) {
  current = cell;
  if (details.contains(document.activeElement)) closing.focus(); // what has the focus is about to go
  const picture = cell.querySelector("img");
  label.textContent = cell.dataset.label;
  large.replaceChildren(...(picture ? [picture.cloneNode()] : []));
  details.replaceChildren(cell.nextElementSibling.content.cloneNode(true));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function turn(by) {
  show(cells[(cells.indexOf(current) + by + cells.length) % cells.length]);
}

// The cell beside, above or below as they lie on the screen now; undefined at the edge.
function neighbour(cell, key) {
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const row = Array.from(cell.closest("tr, .flow").querySelectorAll("button.cell"));
    return row[row.indexOf(cell) + (key === "ArrowRight" ? 1 : -1)];
  }
  const sign = key === "ArrowDown" ? 1 : -1;
  const here = cell.parentElement.getBoundingClientRect();
  let found, least = Infinity;
  for (const other of cells) {
    const there = other.parentElement.getBoundingClientRect();
    const away = sign * (there.top - here.top);
    const distance = 1e6 * Math.round(away) + Math.abs(there.left + there.right - here.left - here.right);
    if (away > 1 && distance < least) [found, least] = [other, distance];
  }
  return found;
}

async function copy(button) {
  const code = button.parentElement.querySelector("code");
  const said = button.parentElement.querySelector("[role=status]");
  try {
    await navigator.clipboard.writeText(code.textContent);
    said.textContent = "copied";
  } catch { // a page opened from disk may have no clipboard
    getSelection().selectAllChildren(code);
    said.textContent = "selected; press Ctrl+C or ⌘C to copy";
  }
}

for (const cell of cells) cell.addEventListener("click", () => show(cell));
closing.addEventListener("click", () => dialog.close());
document.getElementById("previous").addEventListener("click", () => turn(-1));
document.getElementById("next").addEventListener("click", () => turn(1));
dialog.addEventListener("close", () => current.focus()); // Esc closes a dialog by itself
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // a click beside it
  if (event.target.matches(".copy")) copy(event.target);
});
document.addEventListener("keydown", (event) => {
  if (!event.key.startsWith("Arrow") || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const from = dialog.open ? current : event.target.closest("button.cell");
  const to = from && neighbour(from, event.key);
  if (!to) return;
  event.preventDefault();
  if (dialog.open) show(to);
  else to.focus();
});
