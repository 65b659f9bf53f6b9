// Keeps the list and the thread as they are in the database. The stream only
// says what changed; the server renders it.
import { fragment } from "./fetch.js";
import { showTimes } from "./times.js";

const messageEvents = [
  "received", "queued", "sent", "delivered", "read", "failed", "uncertain", "cancelled",
  "edited", "deleted", "reacted", "stored", "replied", "written",
];
const otherEvents = [
  "client.created", "client.updated", "client.merged", "client.unmerged", "chat.read", "chat.updated", "chat.assigned",
  "chat.closed", "chat.opened", "chat.snoozed", "member.unreachable", "member.reachable",
];

export function startLive(thread, composer) {
  const status = document.querySelector("[data-live]");
  const list = document.querySelector("[data-chats]");
  if (!list) return;
  let due = false;
  let running = false;

  // One request at a time, and one more for whatever came meanwhile.
  async function refreshList() {
    due = true;
    if (running) return;
    running = true;
    while (due) {
      due = false;
      const url = new URL(location.pathname === "/inbox" ? location.href : "/inbox" + location.search, location.href);
      url.pathname = "/inbox";
      url.searchParams.delete("before");
      if (list.dataset.open) url.searchParams.set("open", list.dataset.open);
      try {
        const part = await fragment(url);
        if (part.ok) await place(part.content);
      } catch {
        break; // the stream says so, and asks again when it is back
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    running = false;
  }

  // Rows do not move under the pointer: somebody may be about to click.
  async function place(content) {
    showTimes(content);
    const focused = document.activeElement?.closest?.("[data-chats] a")?.dataset.chat;
    if (list.matches(":hover") && list.querySelector("ol")) {
      for (const fresh of content.querySelectorAll("a[data-chat]")) {
        const shown = list.querySelector(`a[data-chat="${fresh.dataset.chat}"]`);
        if (shown) refill(shown, fresh);
      }
      list.addEventListener("pointerleave", refreshList, { once: true });
    } else {
      list.replaceChildren(content);
    }
    if (focused) list.querySelector(`a[data-chat="${focused}"]`)?.focus({ preventScroll: true });
    const unread = list.querySelectorAll("a.unread").length;
    document.title = document.title.replace(/^\(\d+\) /, "");
    if (unread) document.title = `(${unread}) ${document.title}`;
  }

  // The link itself stays: a click that began on it would be lost with it.
  function refill(shown, fresh) {
    for (const { name } of [...shown.attributes]) if (!fresh.hasAttribute(name)) shown.removeAttribute(name);
    for (const { name, value } of fresh.attributes) shown.setAttribute(name, value);
    shown.replaceChildren(...fresh.childNodes);
  }

  function happened(event) {
    refreshList();
    let fact;
    try {
      fact = JSON.parse(event.data);
    } catch {
      return;
    }
    const data = fact.data ?? {};
    if (thread.id && String(data.chat_id) === thread.id) thread.changed(data, composer);
  }

  let broken = false;
  const stream = new EventSource("/api/v1/stream");
  for (const verb of messageEvents) stream.addEventListener(`parley.message.${verb}`, happened);
  for (const name of otherEvents) stream.addEventListener(`parley.${name}`, happened);
  stream.addEventListener("reset", () => location.reload());
  stream.addEventListener("open", () => {
    status.textContent = status.dataset.connected;
    status.classList.remove("off");
    refreshList();
    if (broken) thread.catchUp();
    broken = false;
  });
  stream.addEventListener("error", () => {
    broken = true;
    status.textContent = status.dataset.lost;
    status.classList.add("off");
  });
}
