// Tells somebody who looks elsewhere that a client has written.
export function startNotify() {
  const button = document.querySelector("[data-ask-notify]");
  const list = document.querySelector("[data-chats]");
  if (!button || !("Notification" in window)) return () => {};
  button.hidden = Notification.permission !== "default";
  button.addEventListener("click", async () => {
    await Notification.requestPermission();
    button.hidden = Notification.permission !== "default";
  });
  return (data) => {
    if (document.visibilityState === "visible" && document.hasFocus()) return;
    if (Notification.permission !== "granted") return;
    const name = list.querySelector(`a[data-chat="${data.chat_id}"] bdi`)?.textContent;
    const shown = new Notification(name ?? "Parley", { body: list.dataset.notify, tag: `chat ${data.chat_id}` });
    shown.addEventListener("click", () => {
      window.focus();
      location.assign(`/inbox/${data.chat_id}`);
    });
  };
}
