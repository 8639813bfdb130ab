// @ts-check
import "./live.js";

/** Buttons that copy the text in their `data-copy`. */

/** @param {ParentNode} root */
export function copyButtons(root) {
  for (const button of root.querySelectorAll("button[data-copy]")) {
    if (button instanceof HTMLButtonElement) button.hidden = false;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target instanceof Element && event.target.closest("button[data-copy]");
  if (!(button instanceof HTMLButtonElement)) return;
  const { copy, label } = button.dataset;
  button.dataset.label = label ?? button.textContent ?? "";
  try {
    await navigator.clipboard.writeText(copy ?? "");
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed by the browser";
  }
  setTimeout(() => { button.textContent = button.dataset.label ?? ""; }, 1500);
});

copyButtons(document);
