// The form for replies: sends without leaving the page, keeps drafts, and never
// loses what was typed.
import { fragment } from "./fetch.js";
import { count } from "./sms.js";
import { startUploads } from "./uploads.js";

export function startComposer(thread) {
  const form = document.querySelector("[data-composer]");
  if (!form) return;
  const { text, channel, key, seen, subject } = form.elements;
  const refusal = form.querySelector("[data-refusal]");
  const counter = form.querySelector("[data-counter]");
  const button = form.querySelector("button.primary");
  const draft = `draft ${thread.id}`;

  if (!text.value) text.value = localStorage.getItem(draft) ?? "";
  const keep = () => {
    if (text.value) localStorage.setItem(draft, text.value);
    else localStorage.removeItem(draft);
  };

  function describe() {
    const option = channel.selectedOptions[0];
    subject.hidden = !option || !("mail" in option.dataset);
    const parts = [];
    if (option?.dataset.transport === "sms" && text.value) {
      const { characters, segments } = count(text.value);
      parts.push(counter.dataset.segments.replace("{n}", characters).replace("{parts}", segments));
    }
    if (option?.dataset.until) {
      const minutes = Math.max(0, Math.floor((new Date(option.dataset.until) - Date.now()) / 60000));
      parts.push(counter.dataset.window.replace("{hours}", Math.floor(minutes / 60)).replace("{minutes}", minutes % 60));
    }
    counter.textContent = parts.join(" · ");
  }
  text.addEventListener("input", () => {
    keep();
    describe();
  });
  channel.addEventListener("change", describe);
  setInterval(describe, 30000); // windows close while nobody types
  describe();

  const files = startUploads(form);
  const answers = form.querySelector("[data-answers]");
  const answerTo = (id, words) => {
    form.elements.reply_to.value = id;
    answers.querySelector("q").textContent = words;
    answers.hidden = !id;
    text.focus();
  };
  document.querySelector("[data-thread]").addEventListener("click", (event) => {
    const link = event.target.closest("[data-answer]");
    if (!link) return;
    event.preventDefault();
    answerTo(link.dataset.answer, link.closest(".message").querySelector(".text")?.textContent ?? "");
  });
  form.querySelector("[data-drop-answer]").addEventListener("click", (event) => {
    event.preventDefault();
    answerTo("", "");
  });

  let sending = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending || files.loading() || !(text.value.trim() || files.ids().length)) return;
    sending = true;
    const label = button.textContent;
    button.textContent = form.dataset.sending;
    const body = new FormData(form);
    body.delete("file");
    for (const id of files.ids()) body.append("upload", id);
    body.set("seen", Math.max(Number(seen.value), thread.seen()));
    if (event.submitter?.name === "force") body.set("force", "1");
    try {
      const part = await fragment(form.action, { method: "POST", body });
      if (part.ok) {
        refusal.replaceChildren();
        thread.add(part.content, true);
        text.value = "";
        subject.value = "";
        files.clear();
        answerTo("", "");
        // The next reply is another one, even with the same words.
        key.value = crypto.randomUUID();
        keep();
        describe();
      } else if (part.status === 401) {
        refusal.textContent = form.dataset.out;
      } else {
        refusal.replaceChildren(part.content);
      }
    } catch {
      refusal.textContent = form.dataset.failed; // with the same key, so that nothing is sent twice
    }
    button.textContent = label;
    sending = false;
    text.focus();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
}
