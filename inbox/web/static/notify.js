// Tells somebody who looks elsewhere that a client has written.
import { fragment } from "./fetch.js";

export function startNotify() {
  const button = document.querySelector("[data-ask-notify]");
  const list = document.querySelector("[data-chats]");
  if (!button || !("Notification" in window)) return () => {};
  button.hidden = Notification.permission !== "default";
  button.addEventListener("click", async () => {
    await Notification.requestPermission();
    button.hidden = Notification.permission !== "default";
  });
  // Whoever is new is not in the list yet, or not in the part that is shown.
  async function nameOf(chat) {
    const listed = list.querySelector(`a[data-chat="${chat}"] bdi`);
    if (listed) return listed.textContent;
    const head = await fragment(`/inbox/${chat}/head`).catch(() => null);
    return (head?.ok && head.content.querySelector("[data-client]")?.textContent) || "Parley";
  }
  return async (data) => {
    if (document.visibilityState === "visible" && document.hasFocus()) return;
    if (Notification.permission !== "granted") return;
    const shown = new Notification(await nameOf(data.chat_id), { body: list.dataset.notify, tag: `chat ${data.chat_id}` });
    shown.addEventListener("click", () => {
      window.focus();
      location.assign(`/inbox/${data.chat_id}`);
    });
  };
}
