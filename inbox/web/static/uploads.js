// Files for a reply: picked, dropped or pasted, sent ahead of it with their
// progress shown.
export function startUploads(form) {
  const picker = form.querySelector("[data-files]");
  const list = form.querySelector("[data-uploads]");
  let loading = 0;

  function upload(file) {
    const item = document.createElement("li");
    const label = document.createElement("span");
    const remove = document.createElement("button");
    const progress = (percent) => {
      label.textContent = picker.dataset.loading.replace("{name}", file.name).replace("{percent}", percent);
    };
    remove.type = "button";
    remove.textContent = picker.dataset.removed;
    remove.setAttribute("aria-label", `${picker.dataset.removed}: ${file.name}`);
    item.append(label, remove);
    list.append(item);
    progress(0);
    loading++;
    // fetch tells nothing of how far a body has gone.
    const request = new XMLHttpRequest();
    request.open("POST", `/api/v1/uploads?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    request.upload.addEventListener("progress", (event) => progress(Math.floor((100 * event.loaded) / event.total)));
    request.addEventListener("loadend", () => {
      loading--;
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // not from Parley
      }
      if (request.status === 201) {
        item.dataset.id = answer.id;
        label.textContent = file.name;
      } else if (item.isConnected) {
        label.className = "warning";
        label.textContent = `${file.name}: ${answer.detail ?? request.statusText}`;
      }
    });
    remove.addEventListener("click", () => {
      request.abort();
      item.remove();
      picker.focus();
    });
    request.send(file);
  }

  const take = (files) => [...files].forEach(upload);
  picker.addEventListener("change", () => {
    take(picker.files);
    picker.value = "";
  });
  form.addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    take(event.clipboardData.files);
  });
  form.addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("dropping");
  });
  form.addEventListener("dragleave", () => form.classList.remove("dropping"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("dropping");
    take(event.dataTransfer.files);
  });

  return {
    loading: () => loading > 0,
    ids: () => [...list.children].map((item) => item.dataset.id).filter(Boolean),
    clear: () => list.replaceChildren(),
  };
}
