// Counts a template while it is written, as if its variables said what they are
// called: how many SMS it comes to is known once it is filled in.
import { count } from "./sms.js";

const editor = document.querySelector("[data-template]");
const text = editor.querySelector("textarea");
const shown = editor.querySelector("[data-count]");

function show() {
  const { characters, segments } = count(text.value);
  shown.textContent = editor.dataset.segments.replace("{n}", characters).replace("{parts}", segments);
}

text.addEventListener("input", show);
show();
