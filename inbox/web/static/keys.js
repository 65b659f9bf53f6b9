// The keyboard alone is enough: see the sheet that ? shows.
export function startKeys() {
  const sheet = document.querySelector("dialog.keys");
  const chats = () => [...document.querySelectorAll("[data-chats] a[data-chat]")];

  function move(step) {
    const all = chats();
    if (!all.length) return;
    let at = all.indexOf(document.activeElement);
    if (at < 0) at = all.findIndex((a) => a.hasAttribute("aria-current")) - (step > 0 ? 0 : 1);
    all[Math.min(all.length - 1, Math.max(0, at + step))].focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "Escape" && typing) {
      typing.blur();
      return;
    }
    if (typing || sheet.open) return;
    switch (event.key) {
      case "j":
        move(1);
        break;
      case "k":
        move(-1);
        break;
      case "r":
        document.getElementById("text")?.focus();
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
