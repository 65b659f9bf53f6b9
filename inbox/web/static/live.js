// Keeps the list and the thread as they are in the database. The stream only
// says what changed; the server renders it.
import { fragment, latest } from "./fetch.js";
import { startNotify } from "./notify.js";
import { showTimes } from "./times.js";

// The facts that concern a page, as docs/asyncapi.yaml names them.
const messageEvents = [
  "message.received", "message.queued", "message.sent", "message.delivered", "message.read", "message.delayed", "message.failed",
  "message.uncertain", "message.cancelled", "message.edited", "message.edit_failed", "message.reacted", "message.reaction_failed",
  "attachment.stored", "attachment.failed",
];
const chatEvents = [
  "chat.read", "chat.unread", "chat.assigned", "chat.closed", "chat.opened", "chat.snoozed", "chat.labelled", "chat.unlabelled",
  "client.created", "client.changed", "client.blocked", "client.unblocked", "member.unreachable", "member.reachable",
];
const moveEvents = ["client.merged", "client.unmerged", "client.deleted", "client.erased"];
const noteEvents = ["note.added", "note.changed", "note.deleted"];

export function startLive(thread) {
  const status = document.querySelector("[data-live]");
  const list = document.querySelector("[data-chats]");
  if (!list) return;
  const rows = list.querySelector("[data-rows]");
  const notify = startNotify();

  const refreshList = latest(async () => {
    if (new URLSearchParams(location.search).get("q")) return; // what was found stays

    const url = new URL(location.pathname === "/inbox" ? location.href : "/inbox" + location.search, location.href);
    url.pathname = "/inbox";
    url.searchParams.delete("before");
    if (list.dataset.open) url.searchParams.set("open", list.dataset.open);
    try {
      const part = await fragment(url);
      if (part.ok) await place(part.content);
    } catch {
      return; // the stream says so, and asks again when it is back
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  });

  // Rows do not move under the pointer: somebody may be about to click.
  async function place(content) {
    showTimes(content);
    for (const fresh of content.querySelectorAll("[data-folder]")) {
      const shown = list.querySelector(`[data-folder="${fresh.dataset.folder}"]`);
      if (shown) refill(shown, fresh);
    }
    const focused = document.activeElement?.closest?.("[data-rows] a")?.dataset.chat;
    const fresh = content.querySelector("[data-rows]");
    const unread = fresh.querySelectorAll("a.unread").length;
    // Nor does anybody click in a tab that is not shown.
    if (rows.matches(":hover") && document.visibilityState === "visible" && rows.querySelector("ol")) {
      for (const row of fresh.querySelectorAll("a[data-chat]")) {
        const shown = rows.querySelector(`a[data-chat="${row.dataset.chat}"]`);
        if (shown) refill(shown, row);
      }
      rows.addEventListener("pointerleave", refreshList, { once: true });
    } else {
      rows.replaceChildren(...fresh.childNodes);
    }
    if (focused) rows.querySelector(`a[data-chat="${focused}"]`)?.focus({ preventScroll: true });
    document.title = document.title.replace(/^\(\d+\) /, "");
    if (unread) document.title = `(${unread}) ${document.title}`;
  }

  // The link itself stays: a click that began on it would be lost with it.
  function refill(shown, fresh) {
    for (const { name } of [...shown.attributes]) if (!fresh.hasAttribute(name)) shown.removeAttribute(name);
    for (const { name, value } of fresh.attributes) shown.setAttribute(name, value);
    shown.replaceChildren(...fresh.childNodes);
  }

  function dataOf(event) {
    try {
      return JSON.parse(event.data).data ?? {};
    } catch {
      return {};
    }
  }
  const here = (data) =>
    thread.id && [data.chat_id, data.from_chat_id, ...(data.chat_ids ?? [])].some((id) => String(id) === thread.id);

  function message(event) {
    refreshList();
    const data = dataOf(event);
    if (here(data)) thread.changed(data);
    if (event.type === "parley.message.received") {
      notify(data);
      if (here(data)) thread.heard(data);
    }
    if (here(data) && event.type === "parley.message.queued") thread.showScheduled();
  }
  function chat(event) {
    refreshList();
    if (here(dataOf(event))) thread.showClient();
  }
  function moved(event) {
    refreshList();
    if (here(dataOf(event))) thread.moved();
  }
  function note(event) {
    if (here(dataOf(event))) thread.showNotes();
  }

  // The page was rendered at a place in the stream of facts: what happened since
  // then is told first. A browser resumes a lost connection by itself, but gives up
  // when a server answers anything but a stream, as a proxy does during a restart.
  let seen = status.dataset.place;
  let stream;
  function follow() {
    stream = new EventSource(seen ? `/api/v1/stream?after=${encodeURIComponent(seen)}` : "/api/v1/stream");
    const on = (name, f) =>
      stream.addEventListener(name, (event) => {
        seen = event.lastEventId || seen;
        f(event);
      });
    for (const name of messageEvents) on(`parley.${name}`, message);
    for (const name of chatEvents) on(`parley.${name}`, chat);
    for (const name of moveEvents) on(`parley.${name}`, moved);
    for (const name of noteEvents) on(`parley.${name}`, note);
    stream.addEventListener("reset", () => location.reload());
    stream.addEventListener("open", opened);
    stream.addEventListener("error", lost);
  }

  let asked = Boolean(seen); // what happened before the stream began is known
  function opened() {
    status.textContent = status.dataset.connected;
    status.classList.remove("off");
    refreshList();
    if (!asked) {
      thread.catchUp();
      thread.showClient();
      thread.showNotes();
      thread.showScheduled();
    }
    asked = true;
  }

  function lost() {
    asked = false;
    status.textContent = status.dataset.lost;
    status.classList.add("off");
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 2000 + Math.random() * 3000);
  }
  follow();
}
