// Starts what a page has use for. Everything works without it, slower.
import { showTimes, rememberZone } from "./times.js";
import { startLive } from "./live.js";
import { startThread } from "./thread.js";
import { startComposer } from "./composer.js";
import { startForms } from "./forms.js";
import { startKeys } from "./keys.js";
import { startViewer } from "./viewer.js";
import { startPicker } from "./picker.js";

document.documentElement.classList.add("scripted");
rememberZone();
showTimes(document);

const invitation = document.querySelector("[data-invitation]");
if (invitation && location.hash.length > 1) {
  // The code never leaves the browser but in the form.
  invitation.elements.invitation.value = location.hash.slice(1);
  invitation.elements.invitation.closest("label").hidden = true;
  history.replaceState(null, "", location.pathname);
}

if (document.body.classList.contains("inbox")) {
  const thread = startThread();
  startComposer(thread);
  startForms(thread);
  startViewer();
  startPicker();
  startLive(thread);
  startKeys();
  // Choosing in the list's form is enough.
  document.querySelector("[data-filters]").addEventListener("change", (event) => event.target.form?.requestSubmit());
}
performance.mark("ready"); // for whoever measures
