// Times in the reader's zone and language. The server knows the zone from the
// second page on.
const page = document.documentElement.lang;
const language = navigator.languages.find((l) => l.split("-")[0] === page) ?? page; // British English has other times than American
const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(language, { day: "numeric", month: "short" });
const both = new Intl.DateTimeFormat(language, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const full = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "medium" });

export function rememberZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) {
    document.cookie = `zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`;
  }
}

export function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const today = at.toDateString() === new Date().toDateString();
    if ("moment" in time.dataset) {
      time.textContent = moment.format(at);
      continue;
    }
    if ("full" in time.dataset) {
      time.textContent = both.format(at);
      continue;
    }
    time.textContent = "short" in time.dataset && !today ? day.format(at) : clock.format(at);
    time.title = full.format(at);
  }
}
