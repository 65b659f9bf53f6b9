// What is being written, kept in this browser at once and on the server a moment
// later, so that another browser has it, too.
import { fragment } from "./fetch.js";

const pause = 1000; // milliseconds after the last key

export function startDrafts(form, path, id) {
  const { text, channel, reply_to: replyTo } = form.elements;
  const place = `draft ${id}`;
  let due;
  let saving = Promise.resolve();

  let here = null;
  try {
    here = JSON.parse(localStorage.getItem(place));
  } catch {
    // of an older Parley
  }
  // The newer one counts. What came with the page without being kept was asked for.
  const kept = Number(form.dataset.kept ?? 0);
  if (here?.text && (!text.value || (kept && here.at > kept))) text.value = here.text;

  const save = () => {
    clearTimeout(due);
    due = undefined;
    const body = new URLSearchParams({ text: text.value, channel: channel.value, reply_to: replyTo.value });
    saving = fragment(`${path}/draft`, { method: "POST", body, keepalive: true }).catch(() => {});
  };
  const remember = () => {
    if (text.value) localStorage.setItem(place, JSON.stringify({ text: text.value, at: Date.now() }));
    else localStorage.removeItem(place);
  };
  window.addEventListener("pagehide", () => due && save());
  return {
    keep() {
      remember();
      clearTimeout(due);
      due = setTimeout(save, pause);
    },
    // drop forgets it; the server forgot it with the reply.
    drop() {
      clearTimeout(due);
      due = undefined;
      remember();
    },
    settled() {
      clearTimeout(due);
      due = undefined;
      return saving;
    },
  };
}
