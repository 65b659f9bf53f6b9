// Chooses another client in a window of the page; without it, on a page of its own.
import { fragment, latest } from "./fetch.js";

export function startPicker() {
  const dialog = document.querySelector("[data-picker]");
  const box = dialog.firstElementChild;
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("[data-pick]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const part = await fragment(link.href).catch(() => null);
    if (!part?.ok) {
      location.assign(link.href); // it says what is wrong
      return;
    }
    box.replaceChildren(part.content);
    dialog.showModal();
    box.querySelector("input").focus();
  });
  const search = latest(async () => {
    const form = box.querySelector("[data-pick-search]");
    const part = await fragment(`${form.action}?${new URLSearchParams(new FormData(form))}`).catch(() => null);
    if (part?.ok) box.querySelector("[data-picked]").replaceChildren(...part.content.querySelector("[data-picked]").childNodes);
  });
  dialog.addEventListener("input", search);
  dialog.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-pick-search]")) return;
    event.preventDefault();
    search();
  });
}
