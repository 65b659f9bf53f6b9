// The keyboard alone is enough: see the sheet that ? shows.
export function startKeys() {
  const sheet = document.querySelector("dialog.keys");
  const chats = () => [...document.querySelectorAll("[data-chats] a[data-chat]")];

  function move(step) {
    const all = chats();
    if (!all.length) return;
    let at = all.indexOf(document.activeElement);
    if (at < 0) at = all.findIndex((a) => a.hasAttribute("aria-current"));
    if (at < 0 && step < 0) at = 0;
    all[Math.min(all.length - 1, Math.max(0, at + step))].focus();
  }

  function write(mode) {
    const form = document.querySelector("[data-composer]");
    const choice = form?.querySelector(`[name=mode][value=${mode}]`);
    if (choice && !choice.checked) choice.click();
    form?.elements.text.focus();
  }
  function slash() {
    const text = document.getElementById("text");
    if (!text || text.value) return;
    text.value = "/";
    text.dispatchEvent(new Event("input", { bubbles: true }));
  }
  function open(name) {
    const menu = document.querySelector(`[data-menu=${name}]`);
    if (!menu) return;
    menu.open = true;
    menu.querySelector("form button")?.focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "Escape" && typing) {
      typing.blur();
      return;
    }
    if (typing || document.querySelector("dialog[open]")) return;
    switch (event.key) {
      case "j":
        move(1);
        break;
      case "k":
        move(-1);
        break;
      case "s":
        document.querySelector("[data-search]").focus();
        break;
      case "r":
        write("reply");
        break;
      case "n":
        write("note");
        break;
      case "/":
        write("reply");
        slash();
        break;
      case "e":
        document.querySelector("[data-close] button")?.click();
        break;
      case "h":
        open("snooze");
        break;
      case "c":
        document.querySelector("[data-client]")?.click();
        break;
      case "a":
        open("assign");
        break;
      case "?":
        sheet.showModal();
        break;
      default:
        return;
    }
    event.preventDefault();
  });
}
