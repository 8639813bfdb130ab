// @ts-check
/** Completion of a query in a combobox, as the WAI-ARIA practices describe it. */

const WAIT_MILLISECONDS = 120;

/**
 * Offer completions of what is typed before the caret.
 * @param {HTMLElement | null} input
 * @param {URLSearchParams} page of these, `since` and `until` bound the events whose values are offered
 */
export function completed(input, page) {
  const list = document.getElementById("offers");
  if (!(input instanceof HTMLInputElement) || !list) return;
  let chosen = -1, timer = 0, asked = 0;

  const close = () => {
    clearTimeout(timer);
    asked += 1; // an answer that is on its way is not shown any more
    list.hidden = true;
    chosen = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  /** @param {number} index */
  const mark = (index) => {
    chosen = index;
    [...list.children].forEach((one, number) => one.setAttribute("aria-selected", String(number === index)));
    const option = list.children[index];
    if (option) {
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    }
  };
  /** @param {string} text */
  const take = (text) => {
    const rest = input.value.slice(input.selectionStart ?? input.value.length);
    input.value = text + rest;
    input.setSelectionRange(text.length, text.length);
    close();
    if (text.endsWith(":")) ask();
  };
  const ask = async () => {
    const typed = input.value.slice(0, input.selectionStart ?? undefined), number = ++asked;
    const query = new URLSearchParams({
      q: typed, since: page.get("since") ?? "", until: page.get("until") ?? "",
    });
    const answer = await fetch(`/search/complete?${query}`).catch(() => null);
    if (!answer?.ok || number !== asked || document.activeElement !== input) return;
    /** @type {string[]} */
    const offers = await answer.json();
    const start = typed.search(/[^\s(]*$/);
    list.replaceChildren(...offers.filter((one) => one !== typed).map((text, index) => {
      const option = document.createElement("li");
      option.id = `offer-${index}`;
      option.setAttribute("role", "option");
      option.dataset.text = text;
      option.textContent = text.slice(Math.max(0, start));
      return option;
    }));
    close();
    list.hidden = !list.children.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    if (input.value) timer = setTimeout(ask, WAIT_MILLISECONDS);
    else close();
  });
  input.addEventListener("keydown", (event) => {
    const count = list.children.length;
    if (event.key === "Escape") {
      if (!list.hidden) event.preventDefault();
      close();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && count && !list.hidden) {
      event.preventDefault();
      mark((chosen + (event.key === "ArrowDown" ? 1 : -1) + count) % count);
    } else if (event.key === "ArrowDown" && list.hidden) {
      ask();
    } else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0 && !list.hidden) {
      event.preventDefault();
      take(/** @type {HTMLElement} */ (list.children[chosen]).dataset.text ?? "");
    }
  });
  list.addEventListener("mousedown", (event) => {
    event.preventDefault();
    if (event.target instanceof HTMLElement && event.target.dataset.text) take(event.target.dataset.text);
  });
  input.addEventListener("blur", close);
}
