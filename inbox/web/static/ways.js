// The ways to answer, as they are now: a window that the client has opened, or a
// way that they have closed.
import { fragment, latest } from "./fetch.js";

export function startWays(form, path, changed) {
  const { channel } = form.elements;
  return latest(async () => {
    const part = await fragment(`${path}/ways?${new URLSearchParams({ channel: channel.value })}`).catch(() => null);
    if (!part?.ok) return;
    const chosen = channel.value;
    channel.replaceChildren(...part.content.querySelector("select").childNodes);
    // The way that was chosen stays, where it still is one.
    const same = [...channel.options].find((o) => o.value === chosen && !o.disabled);
    if (same) same.selected = true;
    form.querySelector("[data-closed]").replaceChildren(...part.content.querySelector("[data-closed]").childNodes);
    changed();
  });
}
