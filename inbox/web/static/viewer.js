// Pictures, large, without leaving the chat.
export function startViewer() {
  const viewer = document.querySelector("[data-viewer]");
  const messages = document.querySelector("[data-thread]");
  if (!viewer || !messages) return;
  const image = viewer.querySelector("img");
  const save = viewer.querySelector("[data-viewer-save]");
  const all = () => [...messages.querySelectorAll("a.picture")];
  let shown;

  function show(link) {
    shown = link;
    image.src = link.href;
    image.alt = link.querySelector("img").alt;
    save.href = link.href.replace("?inline=true", "");
    for (const button of viewer.querySelectorAll("[data-viewer-step]")) button.hidden = all().length < 2;
  }
  function step(by) {
    const links = all();
    show(links[(links.indexOf(shown) + by + links.length) % links.length]);
  }
  messages.addEventListener("click", (event) => {
    const link = event.target.closest("a.picture");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(link);
    viewer.showModal();
  });
  viewer.addEventListener("click", (event) => {
    if (event.target === viewer) viewer.close();
    const button = event.target.closest("[data-viewer-step]");
    if (button) step(Number(button.dataset.viewerStep));
  });
  viewer.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") step(1);
    if (event.key === "ArrowLeft") step(-1);
  });
  viewer.addEventListener("close", () => {
    image.removeAttribute("src");
    shown?.focus();
  });
}
