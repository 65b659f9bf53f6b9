// One chat's messages: more at both ends, without losing the reader's place.
import { fragment, latest } from "./fetch.js";
import { toast } from "./forms.js";
import { morph, typed } from "./morph.js";
import { showTimes } from "./times.js";

const nearEnd = 80; // pixels from the end within which new messages are followed

export function startThread() {
  const messages = document.querySelector("[data-thread]");
  const scroll = document.querySelector("[data-scroll]");
  const jump = document.querySelector("[data-jump]");
  const thread = {
    id: messages?.dataset.thread,
    changed() {},
    catchUp() {},
    add() {},
    showNotes() {},
    showScheduled() {},
    showClient() {},
    showWays() {}, // the composer's
    heard() {}, // the composer's
    moved() {},
    seen: () => 0,
  };
  if (!messages) return thread;
  const path = `/inbox/${thread.id}`;
  const live = "newest" in messages.dataset;

  const atEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < nearEnd;
  const toEnd = () => {
    scroll.scrollTop = scroll.scrollHeight;
    pinned = true;
    jump.hidden = true;
  };
  // Whoever is at the end stays there, also when pictures come in.
  let pinned = live;
  messages.addEventListener("load", () => pinned && toEnd(), true);
  thread.seen = () => {
    const all = messages.querySelectorAll(".message");
    return Number(all[all.length - 1]?.dataset.seq ?? 0);
  };

  // The files of an album come one by one, seconds apart: each joins those before.
  const join = (item, above) => {
    if (!item.dataset.album || above?.dataset.album !== item.dataset.album) return;
    item.classList.add("joined", "grouped");
    item.querySelector("h2")?.classList.add("hidden");
  };

  // add puts messages where their seq says, and never one twice.
  thread.add = (content, mine = false) => {
    const follow = mine || pinned;
    showTimes(content);
    for (const item of [...content.children]) {
      if (!item.classList.contains("message")) continue;
      const shown = document.getElementById(item.id);
      if (shown) {
        if (shown.classList.contains("grouped")) {
          item.classList.add("grouped");
          item.querySelector("h2")?.classList.add("hidden");
        }
        join(item, shown.previousElementSibling);
        morph(shown, item);
        continue;
      }
      const last = [...messages.querySelectorAll(".message")].pop();
      const today = item.previousElementSibling;
      if (today?.matches("[data-day]") && !sameDayShown(today.textContent)) messages.append(today);
      if (!last || Number(last.dataset.seq ?? 0) < Number(item.dataset.seq)) {
        messages.append(item);
      } else {
        [...messages.querySelectorAll(".message")].find((m) => Number(m.dataset.seq) > Number(item.dataset.seq))?.before(item);
      }
      join(item, item.previousElementSibling);
    }
    if (follow) toEnd();
    else {
      jump.textContent = jump.dataset.jump; // there is more than there was
      jump.hidden = false;
    }
  };
  // A part of the page that is asked for again keeps what is open in it.
  const refresh = (selector, part) => latest(async () => {
    const box = document.querySelector(selector);
    const fresh = box && (await fragment(`${path}/${part}`).catch(() => null));
    if (!fresh?.ok) return;
    showTimes(fresh.content);
    const copy = box.cloneNode(false);
    copy.append(fresh.content);
    morph(box, copy);
    if (pinned) toEnd();
  });
  const showHead = refresh("[data-head]", "head");
  const showPanel = refresh("[data-panel]", "client");
  thread.showClient = () => {
    showHead();
    showPanel();
    thread.showWays();
  };
  thread.showScheduled = refresh("[data-scheduled]", "scheduled");

  // Messages have come from another chat or gone there: all of the page is new. What
  // is being written to the client is kept as a draft; what is in the panel is not.
  thread.moved = () => {
    const reload = () => location.reload();
    if (![...document.querySelectorAll("[data-panel] form")].some(typed)) reload();
    else toast(messages.dataset.moved, { seconds: 3600, label: messages.dataset.reload, act: reload });
  };

  thread.showNotes = latest(async () => {
    const part = await fragment(`${path}/notes`).catch(() => null);
    if (!part?.ok) return;
    showTimes(part.content);
    const fresh = [...part.content.querySelectorAll("[data-note]")].sort((a, b) => a.dataset.note - b.dataset.note);
    for (const shown of messages.querySelectorAll("[data-note]")) {
      if (!fresh.some((n) => n.id === shown.id)) shown.remove();
    }
    const all = [...messages.querySelectorAll(".message")];
    for (const note of fresh) {
      const shown = document.getElementById(note.id);
      if (shown) {
        morph(shown, note);
        continue;
      }
      let above = all.filter((m) => Number(m.dataset.seq) <= Number(note.dataset.after)).pop();
      if (!above) continue; // on an earlier page
      while (above.nextElementSibling?.matches("[data-note]")) above = above.nextElementSibling;
      above.after(note);
    }
    if (pinned) toEnd();
  });
  const sameDayShown = (text) => [...messages.querySelectorAll("[data-day]")].pop()?.textContent === text;

  // What is answered is shown where it is, if it is on this page.
  messages.addEventListener("click", (event) => {
    const link = event.target.closest(".answered a");
    if (!link || !document.getElementById(link.hash.slice(1)) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    location.hash = link.hash;
  });

  // What happened while another request was under way is asked for after it.
  let catching = false;
  thread.catchUp = latest(async () => {
    catching = true;
    let more = live;
    while (more) {
      const part = await fragment(`${path}/messages?after=${thread.seen() || 1}`).catch(() => null);
      if (!part?.ok || !part.content.children.length) break; // the stream comes back, and with it this
      thread.add(part.content);
      more = part.more;
      markRead();
    }
    catching = false;
  });

  // What happened to a message while it was being asked for is asked for once more,
  // or it would go on being sent for good where answers overtake one another.
  const asking = new Map();
  thread.changed = async ({ message_id: id }) => {
    if (!id) return thread.catchUp();
    const shown = () => messages.querySelector(`[data-id="${id}"]`);
    if (!asking.has(id)) {
      const ask = latest(async () => {
        if (!shown()) {
          const before = catching;
          await thread.catchUp();
          if (!before || !shown()) return; // it is as it was after the event
        }
        const part = await fragment(`${path}/messages/${id}`).catch(() => null);
        if (part?.ok) thread.add(part.content);
      });
      asking.set(id, ask);
    }
    await asking.get(id)();
    asking.delete(id);
  };

  // What is on the screen of somebody who looks at it is read.
  let told = 0;
  function markRead() {
    const seen = thread.seen();
    if (!live || document.visibilityState !== "visible" || !document.hasFocus() || seen <= told || !atEnd()) return;
    told = seen;
    fragment(`${path}/read`, { method: "POST", body: new URLSearchParams({ seen }) }).catch(() => {
      told = 0;
    });
  }

  async function earlier(event) {
    event.preventDefault();
    const link = event.currentTarget;
    const first = messages.querySelector(".message");
    const part = await fragment(`${path}/messages?before=${first.dataset.seq}`).catch(() => null);
    if (!part?.ok) return;
    showTimes(part.content);
    const day = [...part.content.querySelectorAll("[data-day]")].pop()?.textContent;
    const top = messages.querySelector("[data-day]");
    if (top && top.textContent === day) top.remove();
    const height = scroll.scrollHeight;
    messages.prepend(part.content);
    scroll.scrollTop += scroll.scrollHeight - height;
    if (!part.more) link.parentElement.remove();
  }
  const link = document.querySelector("[data-earlier]");
  link?.addEventListener("click", earlier);
  if (link && live && "IntersectionObserver" in window) {
    let loading = false;
    new IntersectionObserver(
      async (entries) => {
        if (loading || !entries[0].isIntersecting || !link.isConnected) return;
        loading = true;
        await earlier({ preventDefault() {}, currentTarget: link });
        loading = false;
      },
      { root: scroll, rootMargin: "400px" },
    ).observe(link.parentElement);
  }

  jump.addEventListener("click", toEnd);
  scroll.addEventListener("scroll", () => {
    pinned = atEnd();
    if (pinned) {
      jump.hidden = true;
      jump.textContent = jump.dataset.latest;
      markRead();
    } else if (scroll.scrollHeight - scroll.scrollTop > 2 * scroll.clientHeight) jump.hidden = false;
  });
  for (const name of ["focus", "visibilitychange"]) window.addEventListener(name, markRead);
  const divider = messages.querySelector("[data-divider]");
  if (divider) {
    pinned = false;
    divider.scrollIntoView({ block: "center" });
  } else if (live) toEnd();
  markRead();
  return thread;
}
