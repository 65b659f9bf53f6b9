// Parts of pages, as the server renders them.
export async function fragment(url, options = {}) {
  const response = await fetch(url, {
    credentials: "same-origin",
    ...options,
    headers: { "Parley-Fragment": "1", ...options.headers },
  });
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  return {
    ok: response.ok,
    status: response.status,
    more: response.headers.has("Parley-More"),
    undo: response.headers.get("Parley-Undo"), // until when
    content: template.content,
  };
}

// latest makes of f what asks for the newest state: one request at a time, and one
// more for whatever came meanwhile. What it returns is over once f has begun and
// ended after the call.
export function latest(f) {
  let due = false;
  let running;
  return () => {
    due = true;
    running ??= (async () => {
      try {
        while (due) {
          due = false;
          await f();
        }
      } finally {
        running = undefined;
      }
    })();
    return running;
  };
}
