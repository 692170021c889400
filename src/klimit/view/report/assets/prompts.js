// The table of prompts: sorted, filtered, paged, saved as CSV, and opened to read the completions.

const ROWS = 25;
const { columns, rows: cells, texts: begins } = data.prompts;
const keys = columns.map((column) => column.key);
const where = Object.fromEntries(keys.map((key, place) => [key, place]));
const state = { key: data.prompts.order, down: true, page: 0, find: "", kind: "", opened: new Set() };
const table = document.getElementById("prompt-table");

const haystack = cells.map((row, at) => `${row[where.id]} ${begins[at] ?? ""}`.toLowerCase());

function chosen() {
  const found = cells.map((_, at) => at).filter((at) => {
    const kind = "kind" in where ? cells[at][where.kind] : "";
    if (state.kind === "signal" ? kind : state.kind && !kind.includes(state.kind)) return false;
    return !state.find || haystack[at].includes(state.find);
  });
  const place = where[state.key];
  const sign = state.down ? -1 : 1;
  return found.sort((one, other) => {
    const [a, b] = [cells[one][place], cells[other][place]];
    if (a === b) return one - other;
    if (a === null) return 1;
    if (b === null) return -1;
    if (typeof a === "string") return sign * a.localeCompare(b, "en", { numeric: true });
    return sign * (a - b);
  });
}

function shown(key, value) {
  if (value === null) return "-";
  if (typeof value === "string") return value;
  if (key === "samples") return value.toLocaleString("en-US");
  if (key === "share") return `${(100 * value).toFixed(value < 0.1 ? 1 : 0)} %`;
  return Number(value.toPrecision(3)).toLocaleString("en-US", { maximumSignificantDigits: 3 });
}

function line(at) {
  const row = cells[at];
  const tr = make("tr");
  keys.forEach((key, place) => {
    if (key !== "id") {
      tr.append(make("td", { textContent: shown(key, row[place]), className: key === "kind" ? "kind" : "number" }));
      return;
    }
    const head = make("th", { scope: "row" });
    const name = make("bdi", { textContent: row[place] });
    if (data.texts && data.texts.rows[at]) {
      const button = make("button", { type: "button" }, name);
      button.setAttribute("aria-expanded", String(state.opened.has(at)));
      button.addEventListener("click", () => toggle(at));
      button.dataset.row = at;
      head.append(button);
    } else head.append(name);
    if (begins[at]) head.append(make("bdi", { className: "begins", textContent: begins[at] }));
    tr.append(head);
  });
  return tr;
}

function facts(side) {
  const [, reward, tokens] = side;
  const told = [`${data.reward} ${Number(reward.toPrecision(4))}`];
  if (tokens !== null) told.push(`${tokens.toLocaleString("en-US")} tokens`);
  return told.join(", ");
}

function quote(text) {
  return make("pre", { className: "text", dir: "auto", textContent: text === "" ? "(empty)" : text ?? "(its text is not stored)", tabIndex: 0 });
}

function detail(at) {
  const [prompt, ...sides] = data.texts.rows[at];
  const whole = make("div", { className: "behind" });
  if (prompt !== null) whole.append(make("h3", { textContent: "The prompt" }), quote(prompt));
  const blocks = make("div", { className: "sides" });
  sides.forEach((side, place) => {
    const block = make("div", { className: "side" }, make("h3", { textContent: data.texts.sides[place] }));
    if (side === null) block.append(make("p", { className: "facts", textContent: "no sample of this prompt" }));
    else block.append(make("p", { className: "facts", textContent: facts(side) }), quote(side[0]));
    blocks.append(block);
  });
  whole.append(blocks);
  return make("tr", { className: "opened" }, make("td", { colSpan: keys.length }, whole));
}

function toggle(at) {
  if (!state.opened.delete(at)) state.opened.add(at);
  draw();
  table.querySelector(`button[data-row="${at}"]`).focus();
}

function draw() {
  const found = chosen();
  const pages = Math.max(Math.ceil(found.length / ROWS), 1);
  state.page = Math.min(state.page, pages - 1);
  const page = found.slice(state.page * ROWS, (state.page + 1) * ROWS);
  table.tBodies[0].replaceChildren(...page.flatMap((at) => state.opened.has(at) ? [line(at), detail(at)] : [line(at)]));
  const total = data.prompts.total.toLocaleString("en-US");
  const part = pages > 1 ? `; page ${state.page + 1} of ${pages}` : "";
  document.getElementById("count").textContent = `${found.length.toLocaleString("en-US")} of ${total} ${data.prompts.total === 1 ? "prompt" : "prompts"}${part}`;
  document.getElementById("pages").hidden = pages < 2;
  document.getElementById("before").disabled = state.page === 0;
  document.getElementById("after").disabled = state.page === pages - 1;
  table.querySelectorAll("thead th").forEach((head, place) => {
    if (keys[place] === state.key) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
}

// Cells that a spreadsheet would run as a formula are written as text.
function quoted(value) {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv() {
  const lines = [keys, ...chosen().map((at) => cells[at])].map((row) => row.map(quoted).join(","));
  const address = URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" }));
  make("a", { href: address, download: "prompts.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function startPrompts() {
  table.querySelectorAll("thead th").forEach((head, place) => {
    const key = keys[place];
    const button = make("button", { type: "button", textContent: columns[place].label });
    button.addEventListener("click", () => {
      state.down = state.key === key ? !state.down : key !== "id" && key !== "kind";
      state.key = key;
      state.page = 0;
      draw();
    });
    head.replaceChildren(button);
  });
  const find = document.getElementById("find");
  find.addEventListener("input", () => { state.find = find.value.trim().toLowerCase(); state.page = 0; draw(); });
  const kind = document.getElementById("kind");
  kind.addEventListener("change", () => { state.kind = kind.value; state.page = 0; draw(); });
  document.getElementById("csv").addEventListener("click", csv);
  document.getElementById("before").addEventListener("click", () => { state.page -= 1; draw(); });
  document.getElementById("after").addEventListener("click", () => { state.page += 1; draw(); });
  kind.parentElement.hidden = !("kind" in where);
  document.getElementById("prompt-tools").hidden = false;
  draw();
}

startPrompts();
