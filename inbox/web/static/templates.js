// Templates by a slash at the beginning of a reply: filtered as one types, chosen
// by arrows and Enter, filled in by the server.
import { fragment } from "./fetch.js";

export function startTemplates(form, path, changed) {
  const menu = form.querySelector("[data-menu=templates]");
  const used = form.querySelector("[data-used]");
  const { text } = form.elements;
  if (!menu) return { clear: () => used.replaceChildren() };
  const items = [...menu.querySelectorAll("[data-template]")];
  const visible = () => items.filter((a) => !a.parentElement.hidden);
  let slash = false;

  function filter(words) {
    for (const a of items) a.parentElement.hidden = !a.textContent.toLowerCase().includes(words.toLowerCase());
    mark(0);
  }
  function mark(at) {
    const shown = visible();
    for (const a of items) a.classList.toggle("marked", a === shown[at]);
    shown[at]?.scrollIntoView({ block: "nearest" });
  }
  const marked = () => visible().findIndex((a) => a.classList.contains("marked"));

  async function use(id) {
    const part = await fragment(`${path}/templates?use=${id}`).catch(() => null);
    if (!part?.ok) return;
    text.value = part.content.querySelector("[data-text]").content.textContent;
    used.replaceChildren(part.content);
    menu.open = false;
    slash = false;
    (used.querySelector("fieldset input") ?? text).focus();
    changed();
  }

  text.addEventListener("input", () => {
    const on = /^\/[^\n]*$/.test(text.value);
    if (on) {
      filter(text.value.slice(1).trim());
      menu.open = true;
    } else if (slash) menu.open = false;
    slash = on;
  });
  text.addEventListener("keydown", (event) => {
    if (!slash || !menu.open) return;
    const shown = visible();
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && shown.length) mark((marked() + step + shown.length) % shown.length);
    else if (event.key === "Enter" && !event.ctrlKey && marked() >= 0) use(shown[marked()].dataset.template);
    else return;
    event.preventDefault();
  });
  menu.addEventListener("toggle", () => {
    if (!slash) filter("");
  });
  menu.addEventListener("click", (event) => {
    const link = event.target.closest("[data-template]");
    if (!link) return;
    event.preventDefault();
    use(link.dataset.template);
  });
  return { clear: () => used.replaceChildren() };
}
