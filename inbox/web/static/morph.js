// Makes what is shown like what the server rendered anew, keeping the elements:
// a player goes on playing, what is unfolded stays so, what is typed stays typed.
const keeps = new Set(["AUDIO", "VIDEO", "IFRAME"]);

// typed reports whether somebody has written or chosen something in a form.
export function typed(form) {
  return [...form.elements].some((e) => {
    if (e.type === "hidden" || e.type === "submit" || e.type === "button") return false;
    if (e.type === "file") return e.files.length > 0;
    if (e.type === "checkbox" || e.type === "radio") return e.checked !== e.defaultChecked;
    if (e.options) return e.selectedIndex !== Math.max(0, [...e.options].findIndex((o) => o.defaultSelected));
    return "defaultValue" in e && e.value !== e.defaultValue;
  });
}

export function morph(shown, fresh) {
  // A form is of the version that its writer saw, or what they wrote would undo
  // what a colleague has changed meanwhile.
  if (shown.nodeName === "FORM" && typed(shown)) return;
  if (keeps.has(shown.nodeName) && shown.getAttribute("src") === fresh.getAttribute("src")) return;
  for (const { name } of [...shown.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && shown.nodeName === "DETAILS")) shown.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
  let at = shown.firstChild;
  for (const child of [...fresh.childNodes]) {
    const match = sibling(at, child);
    if (!match) {
      shown.insertBefore(child, at);
      continue;
    }
    while (at !== match) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
    at = match.nextSibling;
    if (match.nodeType === Node.TEXT_NODE) {
      if (match.data !== child.data) match.data = child.data;
    } else morph(match, child);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

// sibling is the next node from at that is the same thing as wanted.
function sibling(at, wanted) {
  for (let node = at; node; node = node.nextSibling) {
    if (node.nodeName !== wanted.nodeName) continue;
    if (node.nodeType === Node.TEXT_NODE) return node === at ? node : null;
    if (node.nodeType !== Node.ELEMENT_NODE) continue;
    if (node.getAttribute("src") === wanted.getAttribute("src") && kind(node) === kind(wanted)) return node;
  }
  return null;
}

const kind = (element) => element.id || element.getAttribute("aria-labelledby") || element.classList[0] || "";
