// Forms that change something without leaving the page, menus, and short messages
// about what became of it.
import { fragment } from "./fetch.js";

const toastBox = document.querySelector("[data-toast]");
let toastEnds;

// toast says something for a while; a button does something about it.
export function toast(words, { seconds = 6, label, act } = {}) {
  if (!toastBox) return;
  clearTimeout(toastEnds);
  toastBox.replaceChildren(words);
  if (label) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => {
      toastBox.hidden = true;
      act();
    });
    toastBox.append(" ", button);
  }
  toastBox.hidden = false;
  toastEnds = setTimeout(() => (toastBox.hidden = true), seconds * 1000);
}

// post sends a form; whoever called shows what changed. It reports whether it
// worked, and says so if not.
export async function post(url, fields) {
  const failed = document.querySelector("[data-composer]")?.dataset.failed ?? "";
  try {
    const part = await fragment(url, { method: "POST", body: new URLSearchParams(fields) });
    if (part.ok) return true;
    toast(part.content.textContent.trim() || failed);
  } catch {
    toast(failed);
  }
  return false;
}

export function startForms(thread) {
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("[data-quiet]") || event.defaultPrevented) return;
    event.preventDefault();
    const url = event.submitter?.getAttribute("formaction") ?? form.getAttribute("action");
    const fields = new FormData(form, event.submitter);
    if (fields.has("seen")) fields.set("seen", Math.max(Number(fields.get("seen")), thread.seen()));
    if (!(await post(url, fields))) return;
    form.reset(); // what was typed is kept from being replaced, and has been sent
    form.closest("details")?.removeAttribute("open");
    form.closest("dialog")?.close();
    thread.showClient();
    thread.showNotes();
    thread.showScheduled();
  });

  // One menu at a time, and none once somebody looks elsewhere.
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = event.target.closest?.("details.menu[open]") ?? document.querySelector("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
    event.stopImmediatePropagation();
    event.preventDefault();
  });
}
