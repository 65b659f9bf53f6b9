// The form for replies: sends without leaving the page, keeps drafts, and never
// loses what was typed.
import { fragment } from "./fetch.js";
import { count } from "./sms.js";
import { startUploads } from "./uploads.js";
import { startDrafts } from "./drafts.js";
import { startEmoji } from "./emoji.js";
import { startTemplates } from "./templates.js";
import { post, toast } from "./forms.js";
import { startWays } from "./ways.js";

export function startComposer(thread) {
  const form = document.querySelector("[data-composer]");
  if (!form) return;
  const path = `/inbox/${thread.id}`;
  const { text, channel, key, seen, subject, to, cc } = form.elements;
  const refusal = form.querySelector("[data-refusal]");
  const counter = form.querySelector("[data-counter]");
  const button = form.querySelector("[data-send]");
  const labels = { reply: button.textContent, note: button.dataset.noteLabel };
  const noting = () => form.elements.mode.value === "note";
  const drafts = startDrafts(form, path, thread.id);

  function describe() {
    const option = channel.selectedOptions[0];
    form.querySelector("[data-mail-fields]").hidden = !option || !("mail" in option.dataset);
    form.classList.toggle("noting", noting());
    button.textContent = labels[noting() ? "note" : "reply"];
    const parts = [];
    if (option?.dataset.transport === "sms" && text.value) {
      const { characters, segments } = count(text.value);
      parts.push(counter.dataset.segments.replace("{n}", characters).replace("{parts}", segments));
    }
    if (option?.dataset.until) {
      const minutes = Math.max(0, Math.floor((new Date(option.dataset.until) - Date.now()) / 60000));
      parts.push(counter.dataset.window.replace("{hours}", Math.floor(minutes / 60)).replace("{minutes}", minutes % 60));
    }
    counter.textContent = noting() ? "" : parts.join(" · ");
  }
  const changed = () => {
    if (!noting()) drafts.keep();
    describe();
  };
  text.addEventListener("input", changed);
  channel.addEventListener("change", changed);
  for (const mode of form.elements.mode) mode.addEventListener("change", describe);
  setInterval(describe, 30000); // windows close while nobody types
  describe();
  thread.showWays = startWays(form, path, describe);
  thread.heard = (data) => {
    const way = [...channel.options].find((o) => o.value === data.channel_id);
    if (!way || way.disabled || way.dataset.until) thread.showClient();
  };

  const files = startUploads(form);
  const templates = startTemplates(form, path, changed);
  startEmoji(text);
  const answers = form.querySelector("[data-answers]");
  const answerTo = (id, words) => {
    form.elements.reply_to.value = id;
    answers.querySelector("q").textContent = words;
    answers.hidden = !id;
    text.focus();
  };
  const textOf = (link) => link.closest(".message").querySelector(".text")?.textContent ?? "";
  document.querySelector("[data-thread]").addEventListener("click", (event) => {
    const link = event.target.closest("[data-answer], [data-again]");
    if (!link) return;
    event.preventDefault();
    if ("answer" in link.dataset) {
      answerTo(link.dataset.answer, textOf(link));
      return;
    }
    if (!text.value) text.value = textOf(link);
    changed();
    text.focus();
  });
  form.querySelector("[data-drop-answer]").addEventListener("click", (event) => {
    event.preventDefault();
    answerTo("", "");
  });

  function clear() {
    for (const field of [text, subject, to, cc, form.elements.at_other]) field.value = "";
    files.clear();
    templates.clear();
    answerTo("", "");
    // The next reply is another one, even with the same words.
    key.value = crypto.randomUUID();
    drafts.drop();
  }

  // Whoever takes a reply back has its words again.
  function offerUndo(part, words) {
    const seconds = (new Date(part.undo) - Date.now()) / 1000;
    const id = part.content.querySelector("[data-id]")?.dataset.id;
    if (!(seconds > 0) || !id) return;
    toast(form.dataset.undoing, {
      seconds,
      label: form.dataset.undo,
      act: async () => {
        if (!(await post(`${path}/messages/${id}/undo`, {}))) return;
        if (!text.value) text.value = words;
        changed();
        text.focus();
      },
    });
  }

  let sending = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const note = noting();
    if (sending || files.loading() || !(text.value.trim() || (!note && files.ids().length))) return;
    sending = true;
    button.textContent = form.dataset.sending;
    const body = new FormData(form, event.submitter);
    const later = body.has("at");
    const words = text.value;
    body.delete("file");
    for (const id of files.ids()) body.append("upload", id);
    body.set("seen", Math.max(Number(seen.value), thread.seen()));
    try {
      await drafts.settled(); // one that arrived later would come back
      const part = await fragment(form.action, { method: "POST", body });
      if (part.ok) {
        refusal.replaceChildren();
        clear();
        form.elements.mode.value = "reply";
        for (const menu of form.querySelectorAll("details.menu[open]")) menu.open = false;
        if (note) {
          thread.showNotes();
          toast(form.dataset.noteKept);
        } else if (later) {
          thread.showScheduled();
          toast(form.dataset.laterKept);
        } else {
          offerUndo(part, words);
          thread.add(part.content, true);
        }
      } else if (part.status === 401) {
        refusal.textContent = form.dataset.out;
      } else {
        refusal.replaceChildren(part.content);
      }
    } catch {
      refusal.textContent = form.dataset.failed; // with the same key, so that nothing is sent twice
    }
    sending = false;
    describe();
    text.focus();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit(button);
    }
  });
}
