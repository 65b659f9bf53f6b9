// A few emoji, within reach of the arrow keys.
const list =
  "😀 😁 😂 🙂 😉 😊 😍 😘 😎 🤔 😅 😐 😕 😢 😭 😡 😱 🙄 😴 🤗 👍 👎 👌 👏 🙏 💪 👋 🤝 ✌️ ❤️ 💔 🔥 🎉 🎁 ⭐ ✨ ☀️ 🌧️ ☕ 🍕 🎂 🚚 📦 📞 ✉️ 📎 📷 🕐 📅 ✅ ❌ ⚠️ ❓ ❗ 💡 💰 🏠 🚗 ✈️ 🔑".split(" ");
const columns = 10;

export function startEmoji(text) {
  const menu = document.querySelector("[data-emoji]");
  if (!menu) return;
  menu.hidden = false;
  const box = menu.querySelector("[data-emoji-list]");
  for (const emoji of list) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = emoji;
    button.tabIndex = -1;
    box.append(button);
  }
  box.firstChild.tabIndex = 0;
  menu.addEventListener("toggle", () => menu.open && box.querySelector("[tabindex='0']").focus());
  box.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    text.setRangeText(button.textContent, text.selectionStart, text.selectionEnd, "end");
    text.dispatchEvent(new Event("input", { bubbles: true }));
    menu.open = false;
    text.focus();
  });
  box.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    const at = [...box.children].indexOf(event.target);
    const next = step && box.children[at + step];
    if (!next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}
