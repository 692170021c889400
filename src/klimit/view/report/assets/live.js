// The live page: it asks the server that it came from whether there is a newer one, and takes it.

const KEPT = "klimit-report";
const EVERY = 2000;

// What is read now: the last part that begins above the top of the window, and where it does. In
// whole pixels, as windows scroll by those: so nothing drifts, however often the page is renewed.
function read() {
  const parts = [...document.querySelectorAll("main > section, #prompt-table")];
  const tops = parts.map((part) => part.getBoundingClientRect().top);
  const at = Math.max(tops.findLastIndex((top) => top <= 0), 0);
  return { id: parts[at].id, top: Math.round(tops[at]) };
}

// Slider, table and place survive the change; a page that waits has neither.
function keep() {
  if (!data.prompts) return;
  const opened = [...state.opened].map((at) => cells[at][where.id]);
  const kl = document.getElementById("kl-number")?.value;
  sessionStorage.setItem(KEPT, JSON.stringify({ kl, read: read(), state: { ...state, opened } }));
}

function restore() {
  const text = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  if (!text || !data.prompts) return;
  const kept = JSON.parse(text);
  const number = document.getElementById("kl-number");
  if (number && kept.kl) {
    number.value = kept.kl;
    number.dispatchEvent(new Event("change"));
  }
  const opened = new Set(kept.state.opened);
  const places = cells.flatMap((row, at) => (opened.has(row[where.id]) ? [at] : []));
  Object.assign(state, kept.state, { opened: new Set(places) });
  if (!(state.key in where)) state.key = data.prompts.order;
  document.getElementById("find").value = state.find;
  document.getElementById("kind").value = state.kind;
  draw();
  const part = document.getElementById(kept.read.id);
  const top = Math.round(scrollY + (part?.getBoundingClientRect().top ?? 0) - kept.read.top);
  if (part) scrollTo(scrollX, top);
}

async function look() {
  const said = document.getElementById("live");
  try {
    const answer = await fetch("version", { cache: "no-store" });
    const { version, status } = await answer.json();
    said.textContent = status;
    if (version !== data.version) {
      keep();
      location.reload();
      return;
    }
  } catch {
    said.textContent = "klimit watch has stopped; this page is what it saw last.";
  }
  setTimeout(look, EVERY);
}

history.scrollRestoration = "manual";
restore();
setTimeout(look, EVERY);
