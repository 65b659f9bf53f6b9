// Keeps the phones as they are, and sends without leaving the page. Everything
// works without it, by links and forms.
const main = document.querySelector("main");
const refused = document.querySelector("[data-refused]");
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

function showTimes(root) {
  for (const time of root.querySelectorAll("time")) time.textContent = clock.format(new Date(time.dateTime));
}

function toEnd(thread) {
  thread.scrollTop = thread.scrollHeight;
}

async function follow() {
  for (;;) {
    try {
      const query = new URLSearchParams({ who: main.dataset.who, seen: main.dataset.seen });
      const response = await fetch(`/threads?${query}`);
      if (response.status === 200) {
        const template = document.createElement("template");
        template.innerHTML = await response.text();
        main.dataset.seen = response.headers.get("Phones-Seen");
        for (const fresh of template.content.querySelectorAll("[data-phone]")) {
          const shown = document.querySelector(`main [data-phone="${fresh.dataset.phone}"]`);
          showTimes(fresh);
          shown.replaceChildren(...fresh.childNodes);
          toEnd(shown);
        }
      }
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1000)); // the demo restarts
    }
  }
}

async function send(form) {
  refused.hidden = true;
  const body = new URLSearchParams(new FormData(form));
  try {
    const response = await fetch(form.action, { method: "POST", body, headers: { "Phones-Fragment": "1" } });
    if (!response.ok) throw new Error(await response.text());
    if (form.elements.text) form.elements.text.value = "";
    if (form.elements.subject) form.elements.subject.value = "";
  } catch (error) {
    refused.textContent = error.message;
    refused.hidden = false;
  }
}

for (const form of document.querySelectorAll("[data-say], [data-read]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
  form.elements.text?.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
}
showTimes(document);
document.querySelectorAll("[data-phone]").forEach(toEnd);
follow();
